// Reads what a former version of a program stored: compares the type that the rows were written
// with with the one the program has now, and turns the bytes of a row into what they would be
// today.
//
// What may change: a struct's fields, known by their names, may be added, removed and moved; a
// number may be widened (same sign), a float become a double, a T an optional<T>. Nothing else.
#pragma once

#include <memory>
#include <string>

#include "engine/base/bytes.h"
#include "engine/operator/snapshot.h"
#include "state/stored_type.h"

namespace tidemill {

// Where two types do not go together.
struct TypeMismatch {
  std::string path;  // "places[].floor"; empty: the whole
  std::string stored;
  std::string wanted;
  std::string reason;  // beyond that they differ; may be empty
};

// One thread at a time. Neither type need outlive it.
class TypeChange {
 public:
  // Throws Error(kConfig) if values of type `stored` cannot become ones of type `wanted`; `what`
  // names the state in the message.
  TypeChange(StoredType stored, StoredType wanted, const std::string& what);
  ~TypeChange();
  TypeChange(const TypeChange&) = delete;
  TypeChange& operator=(const TypeChange&) = delete;

  // False: the codec of the wanted type reads the stored bytes as they are.
  [[nodiscard]] bool needs_conversion() const;
  // Appends the whole of a stored value, converted. Throws Error(kCorrupt) if it is damaged.
  void convert(ByteView stored, Bytes& out) const;

 private:
  void convert_whole(ByteView stored, Bytes& out) const;
  struct Step;
  StoredType stored_;
  StoredType wanted_;
  std::unique_ptr<Step> root_;
};

// Throws Error(kConfig) if the types of a state's keys are not exactly the same.
void require_same_key(const StoredType& stored, const StoredType& wanted, const std::string& what);

// The bytes of a part of a checkpoint as they would be today; as they are if its type is not known.
// Throws as TypeChange does.
Bytes converted_part(const StatePart& part, const StoredType& wanted, const std::string& what);

}  // namespace tidemill

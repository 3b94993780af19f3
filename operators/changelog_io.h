// Changelogs at the edge of a job: a compacted topic read as one (a record without a value
// deletes), and written as one.
#pragma once

#include <string_view>
#include <utility>

#include "engine/base/error.h"
#include "engine/data/raw_record.h"
#include "engine/operator/sink.h"
#include "engine/operator/source.h"
#include "engine/runtime/source_settings.h"
#include "operators/changelog.h"

namespace tidemill {

// Reads records with a key as changes: one with a value is an update (whether its key had a row
// before is not known), one without deletes. Decode reads the row of a record with a value, as
// add_source wants it; ReadKey: bool(std::string_view key, T& row) fills in what the key says of a
// deleted row, false if it says nothing. A record without a key is rejected: `no_key`, one whose
// key cannot be read: `bad_key`.
template <class T, class Decode, class ReadKey>
class DecodeChanges {
 public:
  DecodeChanges(Decode decode, ReadKey read_key)
      : decode_(std::move(decode)), read_key_(std::move(read_key)) {}

  bool operator()(const RawRecord& raw, const Origin& origin, Change<T>& out, Rejection& why) {
    if (!raw.has_key) {
      why.reason = "no_key";
      why.detail = "a changelog needs a key in every record";
      return false;
    }
    if (raw.has_value) {
      out.kind = ChangeKind::kUpdate;
      return decode_(raw, origin, out.row, why);
    }
    out = Change<T>::remove({});
    if (read_key_(raw.key, out.row)) return true;
    why.reason = "bad_key";
    why.detail = "the key of a deleted row cannot be read";
    return false;
  }

 private:
  Decode decode_;
  ReadKey read_key_;
};
template <class T, class Decode, class ReadKey>
DecodeChanges<T, Decode, ReadKey> decode_changes(Decode decode, ReadKey read_key) {
  return {std::move(decode), std::move(read_key)};
}

// For Stream<Change<T>>::sink_to: Encode writes a row with its key, as for Stream<T>; of a deleted
// one the key is kept. Throws Error(kUser) for a row without a key.
template <class T, class Encode>
class EncodeChanges {
 public:
  explicit EncodeChanges(Encode encode) : encode_(std::move(encode)) {}

  void operator()(const Change<T>& change, EventTime time, OutputBatch& out) {
    const std::size_t before = out.size();
    encode_(change.row, time, out);
    if (out.size() == before) return;
    if (!out.row(out.size() - 1).has_key)
      throw Error(ErrorCode::kUser, "a row of a changelog needs a key, by which it is replaced");
    if (change.is_delete()) out.make_last_delete();
  }

 private:
  Encode encode_;
};
template <class T, class Encode>
EncodeChanges<T, Encode> encode_changes(Encode encode) {
  return EncodeChanges<T, Encode>(std::move(encode));
}

}  // namespace tidemill

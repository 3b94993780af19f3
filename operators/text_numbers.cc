#include "operators/text_numbers.h"

#include "engine/base/error.h"

namespace tidemill {

TextNumbers::Number TextNumbers::append(std::string_view text) {
  const Number number = size_;
  if (number == kFew) become_many();
  if (many_) {
    many_->starts.push_back(packed_.size());
    many_->numbers.emplace(text, number);
  }
  append_sized(packed_, text);
  ++size_;
  return number;
}

TextNumbers::Number TextNumbers::number_of_many(std::string_view text) {
  const auto it = many_->numbers.find(text);
  return it != many_->numbers.end() ? it->second : append(text);
}

void TextNumbers::become_many() {
  many_ = std::make_unique<Many>();
  const char* at = packed_.data();
  for (Number number = 0; number < size_; ++number) {
    many_->starts.push_back(static_cast<std::size_t>(at - packed_.data()));
    many_->numbers.emplace(read(at), number);
  }
}

std::vector<TextNumbers::Number> TextNumbers::keep(const std::vector<bool>& in_use) {
  std::vector<Number> numbers(size_);
  TextNumbers kept;
  const char* at = packed_.data();
  for (Number number = 0; number < size_; ++number) {
    const std::string_view text = read(at);
    if (in_use[number]) numbers[number] = kept.append(text);
  }
  *this = std::move(kept);
  return numbers;
}

std::size_t TextNumbers::heap_bytes() const {
  std::size_t total = memory_size(packed_);
  if (!many_) return total;
  total += sizeof(Many) + memory_size(many_->starts) +
           many_->numbers.bucket_count() * (sizeof(decltype(many_->numbers)::value_type) + 2);
  return total + packed_.size();  // about what the table's long texts take
}

void TextNumbers::encode(Bytes& out) const {
  append_varint(out, size_);
  out.append(packed_);
}

TextNumbers TextNumbers::decode(ByteReader& in) {
  TextNumbers value;
  for (std::size_t left = codec::read_count(in); left > 0; --left) {
    const Number number = value.size_;
    if (value.number_of(in.sized()) != number)
      throw Error(ErrorCode::kCorrupt, "stored texts name one twice");
  }
  return value;
}

}  // namespace tidemill

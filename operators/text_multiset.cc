#include "operators/text_multiset.h"

#include <utility>

namespace tidemill {

std::int64_t TextMultiset::long_times(const char* digits) {
  std::uint64_t value = 0;
  for (int shift = 0;; shift += 7, ++digits) {
    value |= static_cast<std::uint64_t>(*digits & 0x7F) << shift;
    if ((static_cast<unsigned char>(*digits) & 0x80) == 0) return unzigzag(value);
  }
}

void TextMultiset::change_size(const char* at, std::int64_t times) {
  const std::int64_t sum = sum_of(times_at(at), times);
  const auto entry = static_cast<std::size_t>(at - few_.data());
  const auto digits = static_cast<std::size_t>(times_of(at) - few_.data());
  const auto end = static_cast<std::size_t>(behind(at) - few_.data());
  if (sum == 0) {
    few_.erase(entry, end - entry);
    --num_few_;
    return;
  }
  Bytes bytes;
  append_varint(bytes, zigzag(sum));
  few_.replace(digits, end - digits, bytes);
}

void TextMultiset::append(std::string_view text, std::int64_t times) {
  if (times == 0) return;
  if (num_few_ == kFew) {
    add_to_many(text, times);
    return;
  }
  ++num_few_;
  few_.push_back(static_cast<char>(text.size()));
  few_.append(text);
  append_varint(few_, zigzag(times));
}

void TextMultiset::add_to_many(std::string_view text, std::int64_t times) {
  if (times == 0) return;
  if (!many_) {
    auto many = std::make_unique<Many>();
    for_each([&](std::string_view t, std::int64_t n) { many->emplace(t, n); });
    many_ = std::move(many);
    few_ = Bytes();
    num_few_ = 0;
  }
  const auto it = many_->find(text);
  if (it == many_->end()) {
    many_->emplace(text, times);
    return;
  }
  it->second = sum_of(it->second, times);
  if (it->second == 0) many_->erase(it);
  if (many_->empty()) many_.reset();
}

void TextMultiset::add_all(const TextMultiset& other, std::int64_t sign) {
  if (&other == this) {
    add_all(TextMultiset(other), sign);
    return;
  }
  other.for_each([&](std::string_view text, std::int64_t times) {
    add(text, sign < 0 ? sum_of(~times, 1) : times);
  });
}

std::int64_t TextMultiset::count(std::string_view text) const {
  if (many_) {
    const auto it = many_->find(text);
    return it == many_->end() ? 0 : it->second;
  }
  const char* const end = few_.data() + few_.size();
  for (const char* at = few_.data(); at != end; at = behind(at)) {
    if (text_at(at) == text) return times_at(at);
  }
  return 0;
}

std::size_t TextMultiset::heap_bytes() const {
  std::size_t total = memory_size(few_);
  if (!many_) return total;
  total += sizeof(Many) + many_->bucket_count() * (sizeof(Many::value_type) + 2);
  for (const auto& [text, _] : *many_) total += memory_size(text);
  return total;
}

bool operator==(const TextMultiset& a, const TextMultiset& b) {
  bool is_equal = a.size() == b.size();
  a.for_each([&](std::string_view text, std::int64_t times) {
    is_equal = is_equal && b.count(text) == times;
  });
  return is_equal;
}

void TextMultiset::encode(Bytes& out) const {
  append_varint(out, size());
  out.append(few_);
  if (!many_) return;
  for (const auto& [text, times] : *many_) {
    append_sized(out, text);
    append_varint(out, zigzag(times));
  }
}

TextMultiset TextMultiset::decode(ByteReader& in) {
  TextMultiset value;
  for (std::size_t left = codec::read_count(in); left > 0; --left) {
    const ByteView text = in.sized();
    value.add(text, unzigzag(in.varint()));
  }
  return value;
}

}  // namespace tidemill

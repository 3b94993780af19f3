// The memory that all tables of a process share. Who takes more than there is has to give back at
// its next opportunity; tables do that themselves, each on its own thread (keyed_store.h).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "engine/operator/back_pressure.h"
#include "state/block_pool.h"

namespace tidemill {

// Thread-safe. Outlives every table.
class MemoryBudget final : public BackPressure {
 public:
  // `limit` 0: as much as there is.
  explicit MemoryBudget(std::size_t limit) : limit_(limit) {}

  [[nodiscard]] BlockPool& pool() { return pool_; }
  [[nodiscard]] std::size_t limit() const { return limit_; }
  [[nodiscard]] std::size_t used() const {
    return static_cast<std::size_t>(used_.load(std::memory_order_relaxed));
  }
  void charge(std::int64_t bytes) { used_.fetch_add(bytes, std::memory_order_relaxed); }

  // How much someone who holds `own` of the used bytes should give back now: his share of what is
  // too much.
  [[nodiscard]] std::size_t excess(std::size_t own) const {
    const std::size_t all = used();
    if (limit_ == 0 || all <= limit_) return 0;
    // A little more than needed, so that not every batch has to come back for a few bytes.
    const std::size_t wanted = all - limit_ + limit_ / 64;
    return static_cast<std::size_t>(static_cast<double>(wanted) * static_cast<double>(own) /
                                    static_cast<double>(all)) +
           1;
  }
  // While nothing may be spilled (Epochs): what changes cannot be given back. From begin_hold to
  // end_hold, once for each who cannot.
  void begin_hold() { num_holding_.fetch_add(1, std::memory_order_relaxed); }
  void end_hold() { num_holding_.fetch_sub(1, std::memory_order_relaxed); }

  // The store says whether more is written to it than it can put in order.
  void set_behind(bool is_behind) { is_behind_.store(is_behind, std::memory_order_relaxed); }

  // True while tables hold much more than they may and cannot give it back before the running
  // checkpoint is linked, and while the store is behind.
  [[nodiscard]] bool is_exhausted() const override {
    if (is_behind_.load(std::memory_order_relaxed)) return true;
    return limit_ != 0 && used() > limit_ + limit_ / 8 &&
           num_holding_.load(std::memory_order_relaxed) > 0;
  }
  // True if holes in chunks make the tables' memory much larger than what is in use.
  [[nodiscard]] bool is_fragmented() const {
    return limit_ != 0 && pool_.reserved_bytes() > limit_ + limit_ / 8;
  }

 private:
  const std::size_t limit_;
  std::atomic<std::int64_t> used_{0};
  std::atomic<int> num_holding_{0};
  std::atomic<bool> is_behind_{false};
  BlockPool pool_;
};

}  // namespace tidemill

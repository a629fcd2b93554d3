#include "common/timer.hpp"

#include <chrono>
#include <stdexcept>
#include <utility>

namespace friesian {

namespace {

// When the timers that run on this thread were started.
thread_local std::vector<double> started;

// Python's time.monotonic().
double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void begin(std::span<double> slot, double generation) {
  slot[2] = 0;
  slot[1] = now();
  slot[0] = generation;
}

}  // namespace

Timer::Timer(std::vector<std::span<double>> slots, const double* generation)
    : slots_(std::move(slots)), generation_(generation) {
  for (const std::span<double> slot : slots_)
    if (slot.size() <= kHeader) throw std::invalid_argument("a slot has no room for a duration");
}

void Timer::add(double seconds) {
  for (const std::span<double> slot : slots_) {
    if (slot[0] != *generation_) begin(slot, *generation_);
    const auto count = static_cast<std::size_t>(slot[2]);
    slot[kHeader + count % (slot.size() - kHeader)] = seconds;
    slot[2] = static_cast<double>(count + 1);
  }
}

void Timer::start() { started.push_back(now()); }

void Timer::stop() {
  if (started.empty()) throw std::logic_error("no timer runs on this thread");
  const double seconds = now() - started.back();
  started.pop_back();
  add(seconds);
}

}  // namespace friesian

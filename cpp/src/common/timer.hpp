#pragma once
#include <cstddef>
#include <span>
#include <vector>

namespace friesian {

// Counts durations and keeps the last ones, under one or several names, in memory that other
// processes may read and reset: for each name the generation, the time of the first call, the
// number of calls, and from kHeader on the durations, in turns.
class Timer {
 public:
  static constexpr std::size_t kHeader = 3;

  // Each slot has room for a duration at least. A name begins anew where `generation` is not its
  // own.
  Timer(std::vector<std::span<double>> slots, const double* generation);

  void add(double seconds);

  // What runs between the two on one thread is added; timers may be started within others, and the
  // one that started last stops first.
  void start();
  void stop();

 private:
  std::vector<std::span<double>> slots_;
  const double* generation_;
};

}  // namespace friesian

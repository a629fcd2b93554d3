// How fast one core reads cache lines at random places of so many MB in huge pages: `runs` of them,
// each of `lines` lines. Prints the median ns a line; every line read is counted, and a wrong count
// ends the program with 1.
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

namespace {

constexpr std::size_t kLine = 64;
constexpr int kRounds = 2000;

// Asks for the lines of all runs, then reads them: as many misses at once as the core has room for.
std::uint64_t read_all(const unsigned char* memory, const std::vector<std::size_t>& runs,
                       std::size_t lines) {
  for (const std::size_t run : runs)
    for (std::size_t i = 0; i < lines; ++i) __builtin_prefetch(memory + run + i * kLine, 0, 2);
  std::uint64_t sum = 0;
  for (const std::size_t run : runs)
    for (std::size_t i = 0; i < lines; ++i) sum += memory[run + i * kLine];
  return sum;
}

}  // namespace

int main(int, char** arguments) {
  const std::size_t count = std::strtoull(arguments[1], nullptr, 10);
  const std::size_t lines = std::strtoull(arguments[2], nullptr, 10);
  const std::size_t bytes = std::strtoull(arguments[3], nullptr, 10) << 20;
  void* address = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (address == MAP_FAILED) return 1;
  madvise(address, bytes, MADV_HUGEPAGE);
  std::memset(address, 1, bytes);

  std::mt19937_64 random(0);
  std::vector<std::size_t> runs(count);
  std::vector<double> taken;
  for (int round = 0; round < kRounds; ++round) {
    for (std::size_t& run : runs) run = random() % (bytes / kLine - lines) * kLine;
    const auto start = std::chrono::steady_clock::now();
    const std::uint64_t sum = read_all(static_cast<unsigned char*>(address), runs, lines);
    const std::chrono::duration<double, std::nano> time = std::chrono::steady_clock::now() - start;
    if (sum != count * lines) return 1;
    taken.push_back(time.count() / static_cast<double>(count * lines));
  }
  std::nth_element(taken.begin(), taken.begin() + kRounds / 2, taken.end());
  std::printf("%.2f\n", taken[kRounds / 2]);
}

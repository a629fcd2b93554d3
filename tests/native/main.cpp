#include <cstdio>

void test_filter();
void test_hash();
void test_ivf();
void test_ivf_kernels();
void test_rows();
void test_sequence();
void test_simd();
void test_vocab();

int main() {
  test_simd();
  std::puts("simd: ok");
  test_hash();
  std::puts("hash: ok");
  test_rows();
  std::puts("rows: ok");
  test_sequence();
  std::puts("sequence: ok");
  test_ivf_kernels();
  test_ivf();
  std::puts("ivf: ok");
  test_filter();
  std::puts("filter: ok");
  test_vocab();
  std::puts("vocab: ok");
  return 0;
}

#include <cstdio>

void test_ivf();
void test_rows();

int main() {
  test_rows();
  std::puts("rows: ok");
  test_ivf();
  std::puts("ivf: ok");
  return 0;
}

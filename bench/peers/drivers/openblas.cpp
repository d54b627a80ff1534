// OpenBLAS: sgemm, or sgemv for one column.
#include "driver.h"

#include <cblas.h>

#include <memory>

static Engine make(Problem& p, const std::string&) {
  if (!p.product()) throw std::runtime_error("not a matrix product");
  int m = p.out, n = p.n(), k = p.in;
  auto y = std::make_shared<std::vector<float>>(size_t(m) * n);
  Engine e;
  e.version = std::string(openblas_get_config()) + " " + openblas_get_corename();
  e.run = [=, &p] {
    if (n == 1)
      cblas_sgemv(CblasRowMajor, CblasNoTrans, m, k, 1, p.w.data(), k, p.x.data(), 1, 0, y->data(), 1);
    else
      cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, n, k, 1, p.w.data(), k, p.x.data(), n, 0, y->data(), n);
  };
  e.output = [=] { return *y; };
  return e;
}

int main(int argc, char** argv) { return drive(argc, argv, make); }

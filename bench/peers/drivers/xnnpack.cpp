// XNNPACK: the 1x1 convolution over planes ("sparse"), which skips zeros. Its
// planner takes that path on no CPU with AVX, where the kernels are those of
// SSE; here it is asked for by name.
#include "driver.h"

#include <xnnpack.h>

#include <cmath>
#include <memory>

static Engine make(Problem& p, const std::string&) {
  if (!p.product()) throw std::runtime_error("not a matrix product");
  pthreadpool_t pool = p.threads > 1 ? pthreadpool_create(p.threads) : nullptr; // null is the caller alone
  if (xnn_initialize(nullptr) != xnn_status_success) throw std::runtime_error("does not start");
  xnn_operator_t op = nullptr;
  if (xnn_create_convolution2d_nchw_f32(0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, p.in, p.out, p.in, p.out, p.w.data(), nullptr,
                                        -INFINITY, INFINITY, 0, &op) != xnn_status_success)
    throw std::runtime_error("refuses the layer");
  auto y = std::make_shared<std::vector<float>>(size_t(p.out) * p.n() + 64);
  p.x.resize(p.x.size() + 64); // it may read past the end
  int h = p.size ? p.size : 1, w = p.size ? p.size : p.columns;
  if (xnn_setup_convolution2d_nchw_f32(op, 1, h, w, p.x.data(), y->data(), pool) != xnn_status_success)
    throw std::runtime_error("refuses the size");
  Engine e;
  e.version = "of Debian";
  e.run = [=] { xnn_run_operator(op, pool); };
  if (pool)
    e.rest = [=, &p] { pthreadpool_parallelize_1d(pool, [](void*, size_t) {}, nullptr, p.threads, PTHREADPOOL_FLAG_YIELD_WORKERS); };
  e.output = [=, &p] { return std::vector<float>(y->begin(), y->begin() + size_t(p.out) * p.n()); };
  return e;
}

int main(int argc, char** argv) { return drive(argc, argv, make); }

// libxsmm: its dense sgemm ("dense"), and code generated for one sparse weight
// over vectors of columns ("sparse"). Both run on one thread.
#include "driver.h"

#include <libxsmm.h>

#include <cstdlib>
#include <memory>

static std::shared_ptr<float> aligned(size_t n) {
  return std::shared_ptr<float>(static_cast<float*>(std::aligned_alloc(64, (n * 4 + 63) / 64 * 64)), std::free);
}

static Engine make(Problem& p, const std::string& variant) {
  if (!p.product()) throw std::runtime_error("not a matrix product");
  if (p.threads > 1) throw std::runtime_error("its kernels run on one thread");
  libxsmm_init();
  int m = p.out, n = p.n(), k = p.in;
  Engine e;
  e.version = LIBXSMM_VERSION;
  e.version += std::string(" ") + libxsmm_get_target_arch();
  if (variant == "dense") {
    // Column-major, so the transposed product.
    auto y = std::make_shared<std::vector<float>>(size_t(m) * n);
    float one = 1, zero = 0;
    const float *x = p.x.data(), *w = p.w.data();
    auto kernel = libxsmm_smmdispatch(n, m, k, &n, &k, &n, &one, &zero, nullptr, nullptr);
    e.run = [=] {
      if (kernel) kernel(x, w, y->data());
      else libxsmm_sgemm("N", "N", &n, &m, &k, &one, x, &n, w, &k, &zero, y->data(), &n);
    };
    e.output = [=] { return *y; };
    return e;
  }
  const int width = libxsmm_get_target_archid() >= LIBXSMM_X86_AVX512 ? 16 : 8;
  int vectors = (n + width - 1) / width, padded = vectors * width;
  auto x = aligned(size_t(k) * padded), y = aligned(size_t(m) * padded);
  std::fill(x.get(), x.get() + size_t(k) * padded, 0.f);
  for (int i = 0; i < k; i++) std::copy_n(&p.x[size_t(i) * n], n, x.get() + size_t(i) * padded);
  std::vector<unsigned> rows{0}, cols;
  auto values = std::make_shared<std::vector<float>>();
  for (int i = 0; i < m; i++) {
    for (int j = 0; j < k; j++)
      if (float v = p.w[size_t(i) * k + j]; v != 0) cols.push_back(j), values->push_back(v);
    rows.push_back(cols.size());
  }
  libxsmm_descriptor_blob blob;
  auto desc = libxsmm_gemm_descriptor_dinit(&blob, LIBXSMM_GEMM_PRECISION_F32, m, vectors, k, 0, vectors, vectors, 1, 0,
                                            LIBXSMM_GEMM_FLAG_NONE, LIBXSMM_GEMM_PREFETCH_NONE);
  auto kernel = libxsmm_create_xcsr_soa(desc, rows.data(), cols.data(), values->data(), width).smm;
  if (!kernel) throw std::runtime_error("no code for this weight: it would be too large");
  e.run = [=] { kernel(values->data(), x.get(), y.get()); };
  e.output = [=] {
    std::vector<float> out;
    for (int i = 0; i < m; i++) out.insert(out.end(), y.get() + size_t(i) * padded, y.get() + size_t(i) * padded + n);
    return out;
  };
  return e;
}

int main(int argc, char** argv) { return drive(argc, argv, make); }

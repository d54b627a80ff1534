// libxsmm: its dense sgemm ("dense"), and code generated for one sparse weight
// over vectors of columns ("sparse"). Both run on one thread.
#include "driver.h"

#include <libxsmm.h>

#include <algorithm>
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
  // The code of a kernel must fit into 128 KiB, so rows and columns are cut into
  // pieces that do.
  const int chunk = std::min(vectors, 8);
  const size_t most = 100000 / (12 * chunk + 16);
  struct Piece { libxsmm_smmfunction kernel; std::vector<float> values; size_t x, y; };
  auto pieces = std::make_shared<std::vector<Piece>>();
  for (int row = 0, end; row < m; row = end) {
    std::vector<unsigned> rows{0}, cols;
    std::vector<float> values;
    for (end = row; end < m; end++) {
      size_t before = cols.size();
      for (int j = 0; j < k; j++)
        if (float v = p.w[size_t(end) * k + j]; v != 0) cols.push_back(j), values.push_back(v);
      if (cols.size() > most && end > row) {
        cols.resize(before), values.resize(before);
        break;
      }
      rows.push_back(cols.size());
    }
    if (cols.size() > most) throw std::runtime_error("no code for this weight: a row is too large");
    libxsmm_smmfunction whole = nullptr;
    for (int at = 0; at < vectors; at += chunk) {
      int width_at = std::min(chunk, vectors - at);
      libxsmm_descriptor_blob blob;
      auto desc = libxsmm_gemm_descriptor_dinit(&blob, LIBXSMM_GEMM_PRECISION_F32, end - row, width_at, k, 0, vectors, vectors,
                                                1, 0, LIBXSMM_GEMM_FLAG_NONE, LIBXSMM_GEMM_PREFETCH_NONE);
      auto kernel = width_at == chunk && whole ? whole
                  : libxsmm_create_xcsr_soa(desc, rows.data(), cols.data(), values.data(), width).smm;
      if (!kernel) throw std::runtime_error("no code for this weight");
      if (width_at == chunk) whole = kernel;
      pieces->push_back({kernel, values, size_t(at) * width, size_t(row) * padded + size_t(at) * width});
    }
  }
  e.run = [=] {
    for (auto& piece : *pieces) piece.kernel(piece.values.data(), x.get() + piece.x, y.get() + piece.y);
  };
  e.output = [=] {
    std::vector<float> out;
    for (int i = 0; i < m; i++) out.insert(out.end(), y.get() + size_t(i) * padded, y.get() + size_t(i) * padded + n);
    return out;
  };
  return e;
}

int main(int argc, char** argv) { return drive(argc, argv, make); }

// libxsmm: its dense sgemm ("dense"), and code generated for one sparse weight
// over vectors of columns ("sparse"). Its kernels know no threads: rows of the
// weight, and pieces of the sparse one, are shared out with OpenMP.
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
  libxsmm_init();
  int m = p.out, n = p.n(), k = p.in;
  Engine e;
  e.version = LIBXSMM_VERSION;
  e.version += std::string(" ") + libxsmm_get_target_arch();
  if (variant == "dense") {
    // Column-major, so the transposed product: a share of the rows each.
    auto y = std::make_shared<std::vector<float>>(size_t(m) * n);
    const float *x = p.x.data(), *w = p.w.data();
    struct Share { int first, rows; libxsmm_smmfunction kernel; };
    std::vector<Share> shares;
    float one = 1, zero = 0;
    for (int t = 0; t < p.threads; t++) {
      int first = int64_t(m) * t / p.threads, rows = int64_t(m) * (t + 1) / p.threads - first;
      if (rows) shares.push_back({first, rows, libxsmm_smmdispatch(n, rows, k, &n, &k, &n, &one, &zero, nullptr, nullptr)});
    }
    e.run = [=] {
#pragma omp parallel for num_threads(shares.size()) schedule(static, 1) if (shares.size() > 1)
      for (size_t i = 0; i < shares.size(); i++) {
        const Share& s = shares[i];
        const float* rows = w + size_t(s.first) * k;
        float* out = y->data() + size_t(s.first) * n;
        if (s.kernel) s.kernel(x, rows, out);
        else libxsmm_sgemm("N", "N", &n, &s.rows, &k, &one, x, &n, rows, &k, &zero, out, &n);
      }
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
  const int threads = p.threads, chunk = std::min(vectors, 8);
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
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (size_t i = 0; i < pieces->size(); i++) {
      const Piece& piece = (*pieces)[i];
      piece.kernel(piece.values.data(), x.get() + piece.x, y.get() + piece.y);
    }
  };
  e.output = [=] {
    std::vector<float> out;
    for (int i = 0; i < m; i++) out.insert(out.end(), y.get() + size_t(i) * padded, y.get() + size_t(i) * padded + n);
    return out;
  };
  return e;
}

int main(int argc, char** argv) { return drive(argc, argv, make); }

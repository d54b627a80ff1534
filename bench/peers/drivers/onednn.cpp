// oneDNN: convolution by the direct or the Winograd algorithm, and matmul. Its
// own layouts are used, and reordering into them is not timed.
#include "driver.h"

#include <dnnl.hpp>

#include <algorithm>
#include <memory>
#include <unordered_map>

using namespace dnnl;
using tag = memory::format_tag;

static memory filled(engine& eng, stream& s, const memory::desc& want, const memory::desc& plain, float* data) {
  memory from(plain, eng, data), to(want, eng);
  reorder(from, to).execute(s, from, to);
  s.wait();
  return to;
}

static Engine make(Problem& p, const std::string& variant) {
  engine eng(engine::kind::cpu, 0);
  stream s(eng);
  const auto f32 = memory::data_type::f32;
  memory::desc xPlain, yPlain;
  memory src, weights, dst;
  std::shared_ptr<primitive> prim;
  if (variant == "matmul") {
    if (!p.product()) throw std::runtime_error("not a matrix product");
    xPlain = memory::desc({p.in, p.n()}, f32, tag::ab);
    yPlain = memory::desc({p.out, p.n()}, f32, tag::ab);
    memory::desc w({p.out, p.in}, f32, tag::ab);
    matmul::primitive_desc pd({w, xPlain, yPlain}, eng);
    // The weight is the left operand of this product.
    src = filled(eng, s, pd.src_desc(), w, p.w.data());
    weights = filled(eng, s, pd.weights_desc(), xPlain, p.x.data());
    dst = memory(pd.dst_desc(), eng);
    prim = std::make_shared<matmul>(pd);
  } else if (variant == "inner") {
    if (p.size) throw std::runtime_error("not a linear layer");
    xPlain = memory::desc({p.n(), p.in}, f32, tag::ba);
    yPlain = memory::desc({p.n(), p.out}, f32, tag::ba);
    inner_product_forward::primitive_desc pd(
        {prop_kind::forward_inference, memory::desc({p.n(), p.in}, f32, tag::any),
         memory::desc({p.out, p.in}, f32, tag::any), memory::desc({p.n(), p.out}, f32, tag::any)}, eng);
    src = filled(eng, s, pd.src_desc(), xPlain, p.x.data());
    weights = filled(eng, s, pd.weights_desc(), memory::desc({p.out, p.in}, f32, tag::ab), p.w.data());
    dst = memory(pd.dst_desc(), eng);
    prim = std::make_shared<inner_product_forward>(pd);
  } else {
    if (!p.size) throw std::runtime_error("not a convolution");
    auto algorithm = variant == "winograd" ? algorithm::convolution_winograd
                   : variant == "direct"   ? algorithm::convolution_direct
                                           : algorithm::convolution_auto;
    int side = p.outSize(), pad = p.kernel / 2;
    int below = std::max(0, (side - 1) * p.stride + p.kernel - p.size - pad);
    memory::dims xd{1, p.in, p.size, p.size}, wd{p.out, p.in, p.kernel, p.kernel}, yd{1, p.out, side, side};
    xPlain = memory::desc(xd, f32, tag::nchw);
    yPlain = memory::desc(yd, f32, tag::nchw);
    convolution_forward::primitive_desc pd(
        {prop_kind::forward_inference, algorithm, memory::desc(xd, f32, tag::any), memory::desc(wd, f32, tag::any),
         memory::desc(yd, f32, tag::any), {p.stride, p.stride}, {pad, pad}, {below, below}}, eng);
    src = filled(eng, s, pd.src_desc(), xPlain, p.x.data());
    weights = filled(eng, s, pd.weights_desc(), memory::desc(wd, f32, tag::oihw), p.w.data());
    dst = memory(pd.dst_desc(), eng);
    prim = std::make_shared<convolution_forward>(pd);
  }
  const dnnl_version_t* v = dnnl_version();
  Engine e;
  e.version = std::to_string(v->major) + "." + std::to_string(v->minor) + "." + std::to_string(v->patch);
  std::unordered_map<int, memory> args{{DNNL_ARG_SRC, src}, {DNNL_ARG_WEIGHTS, weights}, {DNNL_ARG_DST, dst}};
  e.run = [=]() mutable {
    prim->execute(s, args);
    s.wait();
  };
  e.output = [=]() mutable {
    std::vector<float> y(yPlain.get_size() / sizeof(float));
    memory to(yPlain, eng, y.data());
    reorder(dst, to).execute(s, dst, to);
    s.wait();
    return y;
  };
  return e;
}

int main(int argc, char** argv) { return drive(argc, argv, make); }

#include "nn/block.h"

#include "autograd/ops.h"

namespace folio {

Block::Block(Context& context, const GptConfig& config, int64_t layer)
    : ln_1(context, config),
      attn(context, config, layer),
      ln_2(context, config),
      mlp(context, config, layer),
      context_(context),
      layer_(layer) {
  add("ln_1", ln_1);
  add("attn", attn);
  add("ln_2", ln_2);
  add("mlp", mlp);
}

void Block::operator()(Residual& x, const Array& rotations, KvCache* cache, bool last_only) const {
  Tensor y = attn(ln_1(x), rotations, cache, last_only);
  if (last_only) x = last_position(x.value());
  add_to(x, y, "residual");
  add_to(x, mlp(ln_2(x)), "output");
}

void Block::add_to(Residual& x, const Tensor& y, std::string_view point) const {
  x.add(y, context_.next_dropout());
  if (context_.is_plain()) x = context_.watch(point, x.value(), layer_);
}

}  // namespace folio

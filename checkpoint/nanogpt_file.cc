#include "checkpoint/nanogpt_file.h"

#include <algorithm>
#include <optional>

#include "checkpoint/model_file.h"
#include "checkpoint/tensor_names.h"
#include "core/backend.h"
#include "data/text/json_keys.h"
#include "data/torch_file/torch_file.h"

namespace folio {
namespace {

using Dict = PickleValue::Dict;
using Shapes = std::vector<std::pair<std::string, Shape>>;

class Reader {
 public:
  Reader(const TorchFile& file, NanogptParts parts) : file_(file), parts_(parts) {
    result_.state.path = file.path();
  }

  NanogptFile run() {
    read_model_args();
    find_tensors();
    check_tensors();
    std::optional<Moments> moments;
    if (parts_ == NanogptParts::all) moments = find_moments();
    if (moments) bytes_ += moments->bytes;
    check(bytes_ <= file_.bytes(),
          "{}: its tensors share their bytes: {} would be needed, the file has {}", path(), bytes_,
          file_.bytes());
    for (const auto& [name, shape] : shapes_) put("model/" + name, tensors_.at(name));
    check_head();
    read_progress();
    if (moments) take_over(*moments);
    return std::move(result_);
  }

 private:
  struct Moments {
    std::map<std::string, TorchTensor> m, v;
    int64_t steps = 0;
    uint64_t bytes = 0;
  };

  const std::string& path() const { return file_.path(); }

  // --- the model
  const Dict& member(const char* key) const {
    const PickleValue* value = folio::find(root(), key);
    check(value != nullptr,
          "{}: has no \"{}\", so it is not what nanoGPT's train.py saves (model, optimizer, "
          "model_args, iter_num, best_val_loss, config)",
          path(), key);
    return value->get<Dict>(fmt::format("{}: \"{}\"", path(), key), "a dict");
  }
  const Dict& root() const { return file_.root().get<Dict>(path(), "a dict"); }

  void read_model_args() {
    const Dict& args = member("model_args");
    constexpr std::string_view known[] = {"n_layer",    "n_head", "n_embd", "block_size",
                                          "vocab_size", "bias",   "dropout"};
    for (const auto& [key, value] : args.items)
      check_key(key->get<std::string>(path() + ": model_args' key", "a text"), known,
                path() + ": model_args");
    auto size = [&](const char* key) {
      const PickleValue* value = folio::find(args, key);
      std::string what = fmt::format("{}: model_args' {}", path(), key);
      check(value != nullptr, "{} is missing", what);
      int64_t number = value->get<int64_t>(what, "a number");
      check(number > 0 && number <= INT32_MAX, "{} cannot be {}", what, number);
      return number;
    };
    args_ = {.block_size = size("block_size"),
             .vocab_size = size("vocab_size"),
             .n_layer = size("n_layer"),
             .n_head = size("n_head"),
             .n_embd = size("n_embd"),
             .bias = true};  // before nanoGPT had the option
    if (const PickleValue* bias = folio::find(args, "bias"))
      args_.bias = bias->get<bool>(path() + ": model_args' bias", "True or False");
    if (const PickleValue* dropout = folio::find(args, "dropout")) {
      const auto* whole = dropout->get_if<int64_t>();
      args_.dropout = whole ? double(*whole)
                            : dropout->get<double>(path() + ": model_args' dropout", "a number");
    }
    take_config();
    put_config(result_.state, args_);
  }

  // The settings of train.py, as far as they are plain values.
  void take_config() {
    const PickleValue* config = folio::find(root(), "config");
    const Dict* settings = config ? config->get_if<Dict>() : nullptr;
    if (!settings) return;
    for (const auto& [key, value] : settings->items) {
      const auto* name = key->get_if<std::string>();
      if (!name) continue;
      Attribute& to = result_.state.attributes["option/" + *name];
      if (auto* truth = value->get_if<bool>()) to = *truth;
      if (auto* whole = value->get_if<int64_t>()) to = *whole;
      if (auto* number = value->get_if<double>()) to = *number;
      if (auto* text = value->get_if<std::string>()) to = *text;
    }
  }

  // Every parameter in the order of nanoGPT's named_parameters().
  Shapes expected_shapes() const {
    int64_t C = args_.n_embd;
    Shapes shapes = {{"transformer.wte.weight", {args_.vocab_size, C}},
                     {"transformer.wpe.weight", {args_.block_size, C}}};
    auto add = [&](const std::string& name, Shape weight) {
      shapes.emplace_back(name + ".weight", weight);
      if (args_.bias) shapes.emplace_back(name + ".bias", Shape{weight[0]});
    };
    for (int64_t i = 0; i < args_.n_layer; ++i) {
      std::string block = fmt::format("transformer.h.{}.", i);
      add(block + "ln_1", {C});
      add(block + "attn.c_attn", {3 * C, C});
      add(block + "attn.c_proj", {C, C});
      add(block + "ln_2", {C});
      add(block + "mlp.c_fc", {4 * C, C});
      add(block + "mlp.c_proj", {C, 4 * C});
    }
    add("transformer.ln_f", {C});
    return shapes;
  }

  void find_tensors() {
    for (const auto& [key, value] : member("model").items) {
      std::string name =
          parameter_name(key->get<std::string>(path() + ": a tensor's name", "a text"));
      if (is_buffer(name)) continue;
      bool added = tensors_.emplace(name, file_.tensor(*value, name)).second;
      check(added, "{}: tensor {} is there twice", path(), name);
    }
    // A tied pair may have been saved under the head's name alone.
    auto head = tensors_.find("lm_head.weight");
    if (head != tensors_.end()) tensors_.emplace("transformer.wte.weight", head->second);
  }

  void check_tensors() {
    check(args_.n_layer <= int64_t(tensors_.size()),
          "{}: model_args' n_layer is {}, for {} tensors", path(), args_.n_layer, tensors_.size());
    shapes_ = expected_shapes();
    for (const auto& [name, shape] : shapes_) {
      auto found = tensors_.find(name);
      check(found != tensors_.end(), "{}: tensor {} is missing", path(), name);
      check(found->second.shape == shape, "{}: tensor {} is {}, but model_args make it {}", path(),
            name, found->second.shape, shape);
      bytes_ += found->second.bytes();
    }
    size_t known = shapes_.size() + tensors_.count("lm_head.weight");
    if (tensors_.size() == known) return;
    for (const auto& [name, tensor] : tensors_) {
      auto named = std::ranges::find(shapes_, name, &Shapes::value_type::first);
      check(name == "lm_head.weight" || named != shapes_.end(),
            "{}: tensor {} has no place in a GPT of nanoGPT's{}", path(), name,
            args_.bias ? "" : " without biases");
    }
  }

  // The head must be the embedding, as nanoGPT ties them.
  void check_head() {
    auto found = tensors_.find("lm_head.weight");
    if (found == tensors_.end()) return;
    const TorchTensor &head = found->second, &wte = tensors_.at("transformer.wte.weight");
    bool same = head.storage == wte.storage && head.offset == wte.offset &&
                head.shape == wte.shape && head.stride == wte.stride;
    if (same) return;
    check(head.shape == wte.shape &&
              to_vector<float>(file_.read(head)) == to_vector<float>(file_.read(wte)),
          "{}: lm_head.weight is not transformer.wte.weight; folio's models, like nanoGPT's, use "
          "one for both",
          path());
  }

  void put(const std::string& name, const TorchTensor& tensor) {
    result_.state.tensors[name] = file_.read(tensor);
  }

  // --- the run
  double number(const PickleValue& value, const std::string& what) const {
    if (auto* whole = value.get_if<int64_t>()) return double(*whole);
    if (auto* real = value.get_if<double>()) return *real;
    check(TorchFile::is_tensor(value), "{}: {} should be a number, not {}", path(), what,
          value.kind());
    TorchTensor tensor = file_.tensor(value, what);
    check(tensor.shape.size() == 1, "{}: {} should be one number, its shape is {}", path(), what,
          tensor.shape);
    return double(to_vector<float>(file_.read(tensor))[0]);
  }

  int64_t count(const PickleValue& value, const std::string& what) const {
    double n = number(value, what);
    check(n >= 0 && n < 1e15 && n == double(int64_t(n)), "{}: {} cannot be {}", path(), what, n);
    return int64_t(n);
  }

  void read_progress() {
    auto& attributes = result_.state.attributes;
    attributes["iter_num"] = int64_t(0);
    attributes["best_val_loss"] = std::numeric_limits<double>::infinity();
    if (const PickleValue* iter = folio::find(root(), "iter_num"))
      attributes["iter_num"] = count(*iter, "iter_num");
    if (const PickleValue* best = folio::find(root(), "best_val_loss"))
      attributes["best_val_loss"] = number(*best, "best_val_loss");
  }

  // --- the optimiser
  // The parameters by their number in the optimiser: first those that decay, then the others.
  static std::vector<std::string> numbered(Shapes shapes, bool embeddings_decay) {
    std::vector<std::string> names;
    std::stable_partition(shapes.begin(), shapes.end(), [&](const auto& row) {
      bool embedding = row.first.ends_with(".wte.weight") || row.first.ends_with(".wpe.weight");
      return row.second.rank() >= 2 && (embeddings_decay || !embedding);
    });
    for (const auto& [name, shape] : shapes) names.push_back(name);
    return names;
  }

  std::optional<Moments> find_moments() {
    const PickleValue* optimizer = folio::find(root(), "optimizer");
    const Dict* content = optimizer ? optimizer->get_if<Dict>() : nullptr;
    if (!content) return left("there is none in the file");
    const PickleValue *state = folio::find(*content, "state"),
                      *groups = folio::find(*content, "param_groups");
    if (!state || !groups || !state->get_if<Dict>() || !groups->get_if<PickleValue::List>())
      return left("it is not in PyTorch's form");
    for (const PickleValue* group : groups->get_if<PickleValue::List>()->items)
      if (const Dict* settings = group->get_if<Dict>()) check_settings(*settings);
    if (state->get_if<Dict>()->items.empty()) return left("it had not made a step");
    take_settings(*groups->get_if<PickleValue::List>());
    std::map<int64_t, const Dict*> by_number;
    for (const auto& [key, value] : state->get_if<Dict>()->items) {
      if (key->get_if<int64_t>() && value->get_if<Dict>())
        by_number[*key->get_if<int64_t>()] = value->get_if<Dict>();
    }
    if (by_number.size() != shapes_.size())
      return left(fmt::format("it is for {} parameters, the model has {}", by_number.size(),
                              shapes_.size()));
    Shapes sorted = shapes_;
    std::ranges::sort(sorted, {}, [](const auto& row) { return row.first; });
    std::string why;
    for (const auto& names : {numbered(shapes_, true), numbered(sorted, false)}) {
      std::string trouble;
      if (auto moments = match(names, by_number, trouble)) return moments;
      if (why.empty()) why = trouble;
    }
    return left(why);
  }

  std::optional<Moments> match(const std::vector<std::string>& names,
                               const std::map<int64_t, const Dict*>& by_number,
                               std::string& trouble) const {
    Moments moments;
    for (size_t i = 0; i < names.size(); ++i) {
      const std::string& name = names[i];
      auto found = by_number.find(int64_t(i));
      const Dict* state = found == by_number.end() ? nullptr : found->second;
      const PickleValue* m = state ? folio::find(*state, "exp_avg") : nullptr;
      const PickleValue* v = state ? folio::find(*state, "exp_avg_sq") : nullptr;
      const PickleValue* step = state ? folio::find(*state, "step") : nullptr;
      if (!m || !v || !step) {
        trouble = fmt::format("it is not AdamW's for {}", name);
        return {};
      }
      TorchTensor first = file_.tensor(*m, name + "'s exp_avg"),
                  second = file_.tensor(*v, name + "'s exp_avg_sq");
      const Shape& shape = tensors_.at(name).shape;
      if (first.shape != shape || second.shape != shape) {
        trouble = fmt::format("its moments for {} are {} and {}, the parameter is {}", name,
                              first.shape, second.shape, shape);
        return {};
      }
      int64_t steps = count(*step, name + "'s step");
      if (i > 0 && steps != moments.steps) {
        trouble = fmt::format("it made {} steps with {}, {} with {}", moments.steps, names[0],
                              steps, name);
        return {};
      }
      moments.steps = steps;
      moments.bytes += first.bytes() + second.bytes();
      moments.m.emplace(name, std::move(first));
      moments.v.emplace(name, std::move(second));
    }
    return moments;
  }

  std::optional<Moments> left(const std::string& why) {
    result_.optimizer = "its optimiser's state is left, for " + why;
    return {};
  }

  // What AdamW itself remembers of its settings is nearer the truth than the config.
  void take_settings(const PickleValue::List& groups) {
    const Dict* group = groups.items.empty() ? nullptr : groups.items[0]->get_if<Dict>();
    if (!group) return;
    auto take = [&](const char* key, const PickleValue* value) {
      if (value && value->get_if<double>())
        result_.state.attributes[std::string("option/") + key] = *value->get_if<double>();
    };
    take("weight_decay", folio::find(*group, "weight_decay"));
    const PickleValue* betas = folio::find(*group, "betas");
    const auto* pair = betas ? betas->get_if<PickleValue::Tuple>() : nullptr;
    if (!pair || pair->items.size() != 2) return;
    take("beta1", pair->items[0]);
    take("beta2", pair->items[1]);
  }

  // Refuses a group of torch.optim.AdamW's whose steps folio would make otherwise.
  void check_settings(const Dict& group) const {
    std::string where = path() + ": the optimiser's param_groups";
    constexpr std::string_view known[] = {
        // what a step is
        "params", "weight_decay", "betas", "eps", "amsgrad", "maximize", "decoupled_weight_decay",
        // the run's own options say it
        "lr", "initial_lr",
        // how the same is computed
        "foreach", "fused", "capturable", "differentiable"};
    for (const auto& [key, value] : group.items)
      check_key(key->get<std::string>(where + "' key", "a text"), known, where);
    auto require = [&](const char* key, bool holds, const std::string& wanted) {
      if (holds) return;
      fail(
          "{}: {} is {}; folio's AdamW has {} and would make other steps. To go on with the model "
          "and a new optimiser, `folio export --init_from={} --to=FOLDER`, then train with "
          "--init_from=FOLDER",
          where, key, folio::find(group, key)->kind(), wanted, path());
    };
    if (const PickleValue* eps = folio::find(group, "eps"))
      require("eps", eps->get_if<double>() && *eps->get_if<double>() == AdamWStep().eps, "1e-08");
    for (auto [key, wanted] :
         {std::pair{"amsgrad", false}, {"maximize", false}, {"decoupled_weight_decay", true}})
      if (const PickleValue* value = folio::find(group, key); value)
        require(key, value->get_if<bool>() && *value->get_if<bool>() == wanted,
                wanted ? "True" : "False");
  }

  void take_over(const Moments& moments) {
    for (const auto& [name, tensor] : moments.m) put("adamw/m/" + name, tensor);
    for (const auto& [name, tensor] : moments.v) put("adamw/v/" + name, tensor);
    result_.state.attributes["adamw/steps"] = moments.steps;
    result_.optimizer = fmt::format("AdamW's state for {} parameters after {} steps",
                                    shapes_.size(), moments.steps);
  }

  const TorchFile& file_;
  NanogptParts parts_;
  NanogptFile result_;
  GptConfig args_;                              // model_args
  std::map<std::string, TorchTensor> tensors_;  // of "model", without the prefix
  Shapes shapes_;                               // what model_args make of them
  uint64_t bytes_ = 0;                          // that the tensors to read have in the file
};

}  // namespace

NanogptFile load_nanogpt(const std::string& path, NanogptParts parts) {
  return Reader(TorchFile(path), parts).run();
}

NanogptFile load_nanogpt(std::string_view bytes, const std::string& path, NanogptParts parts) {
  return Reader(TorchFile(bytes, path), parts).run();
}

}  // namespace folio

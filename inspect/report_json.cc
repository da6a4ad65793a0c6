#include <cmath>

#include "data/tokenizer/char_tokenizer.h"
#include "inspect/report.h"

namespace folio {
namespace {

using Json = nlohmann::ordered_json;

// Rows of equal lengths as one array.
template <class T>
Json rows_json(const std::vector<std::vector<T>>& rows) {
  std::vector<float> values;
  for (const auto& row : rows) values.insert(values.end(), row.begin(), row.end());
  return array_json(values, {std::ssize(rows), rows.empty() ? 0 : std::ssize(rows[0])});
}

// JSON has no infinity.
Json number(double x) { return std::isfinite(x) ? Json(x) : Json(nullptr); }

Json config_json(const GptConfig& config) {
  Json json;
  each_field(config, [&](std::string_view name, const auto& value, auto) {
    if constexpr (std::is_same_v<std::decay_t<decltype(value)>, Activation>)
      json[std::string(name)] = value.name();
    else
      json[std::string(name)] = value;
  });
  const Heads heads = config.heads();
  json["head_dim"] = heads.width;  // what the zeros stand for
  json["n_kv_head"] = heads.n_kv_head;
  json["ffn_hidden"] = config.hidden();
  return json;
}

// What the ids that the report speaks of mean; of a character model all.
Json token_texts(const Inspection& all) {
  Json texts;
  auto add = [&](int32_t id) {
    if (id < all.tokenizer->vocab_size())
      texts[std::to_string(id)] = all.tokenizer->decode({&id, 1});
  };
  if (can_be_live(*all.tokenizer))
    for (int32_t id = 0; id < all.tokenizer->vocab_size(); ++id) add(id);
  for (int32_t id : all.captures.tokens) add(id);
  for (const auto& point : all.lens.top)
    for (const auto& position : point)
      for (const LensToken& token : position) add(token.id);
  return texts;
}

Json forward_json(const std::vector<WalkStep>& walk) {
  Json steps = Json::array();
  for (const WalkStep& s : walk)
    steps.push_back({{"point", s.point},
                     {"layer", s.layer},
                     {"in_block", s.in_block},
                     {"shape", s.shape},
                     {"dtype", name_of(s.dtype)},
                     {"bytes", s.bytes},
                     {"multiply_adds", s.multiply_adds},
                     {"least", number(s.least)},
                     {"greatest", number(s.greatest)},
                     {"mean", number(s.mean)},
                     {"deviation", number(s.deviation)}});
  return steps;
}

Json attention_json(const Inspection& all) {
  const GptConfig& c = all.config;
  std::vector<float> values;
  for (int64_t layer = 0; layer < c.n_layer; ++layer) {
    const HostArray& p = all.captures.at(layer, "attn.probabilities");
    values.insert(values.end(), p.values.begin(), p.values.end());
  }
  const int64_t T = std::ssize(all.captures.tokens);
  return array_json(values, {c.n_layer, c.n_head, T, T});
}

Json heads_json(const std::vector<HeadScore>& heads, const GptConfig& config) {
  Json scores = Json::array();
  for (const HeadScore& s : heads)
    scores.push_back({{"layer", s.layer},
                      {"head", s.head},
                      {"previous", s.previous},
                      {"same", s.same},
                      {"first", s.first},
                      {"induction", s.induction},
                      {"kind", s.kind}});
  return {{"half", probe_half(config)}, {"plain_score", plain_score}, {"scores", scores}};
}

Json lens_json(const LogitLens& lens) {
  std::vector<std::vector<int32_t>> top_ids;
  std::vector<std::vector<float>> top;
  for (const auto& point : lens.top) {
    top_ids.emplace_back();
    top.emplace_back();
    for (const auto& position : point)
      for (const LensToken& token : position) {
        top_ids.back().push_back(token.id);
        top.back().push_back(float(token.probability));
      }
  }
  Json leaders = Json::array();
  for (size_t t = 0; t < lens.leaders.size(); ++t)
    leaders.push_back(
        {{"ids", lens.leaders[t]}, {"probability", rows_json(lens.leader_probability[t])}});
  return {{"points", lens.points},
          {"most", lens.top[0][0].size()},
          {"top_ids", top_ids},
          {"top", rows_json(top)},
          {"next_probability", rows_json(lens.probability)},
          {"next_rank", lens.rank},
          {"leaders", leaders},
          {"loss", lens.loss}};
}

Json backward_json(const Inspection& all) {
  const BackwardPass& b = all.backward;
  Json tape = Json::array(), points, parameters = Json::array();
  for (const TapeEntry& op : b.tape)
    tape.push_back({{"name", op.name},
                    {"point", op.point},
                    {"part", op.part},
                    {"order", op.order},
                    {"inputs", op.inputs},
                    {"shape", op.shape}});
  for (const auto& [point, norm] : b.points) points[point] = norm;
  for (const ParameterStep& p : b.parameters)
    parameters.push_back({{"name", p.name},
                          {"shape", p.shape},
                          {"weight_norm", p.weight_norm},
                          {"gradient_norm", p.gradient_norm},
                          {"update_norm", p.update_norm},
                          {"zeros", p.zeros},
                          {"histogram", p.histogram}});
  return {{"loss", b.loss},   {"gradient_norm", b.gradient_norm},
          {"step", all.step}, {"least_decade", ParameterStep::least_decade},
          {"points", points}, {"parameters", parameters},
          {"tape", tape}};
}

Json cache_json(const GptConfig& config) {
  const CacheCosts costs = cache_costs(config);
  return {{"matrix_multiply_adds_per_token", costs.matrix},
          {"head_multiply_adds_per_step", costs.head},
          {"multiply_adds_per_seen_position", costs.pair},
          {"cache_bytes_per_token", costs.bytes_per_token},
          {"weight_bytes", costs.weight_bytes}};
}

}  // namespace

bool can_be_live(const Tokenizer& tokenizer) {
  return dynamic_cast<const CharTokenizer*>(&tokenizer) != nullptr;
}

Json to_json(const Inspection& all) {
  const Captures& captures = all.captures;
  Json json{{"format", "folio inspect 1"},
            {"source", all.source},
            {"config", config_json(all.config)},
            {"text", all.text},
            {"tokens", captures.tokens},
            {"token_texts", token_texts(all)},
            {"fused_difference", all.fused_difference},
            {"forward", forward_json(all.walk)},
            {"attention", attention_json(all)},
            {"head_scores", heads_json(all.heads, all.config)},
            {"lens", lens_json(all.lens)},
            {"contributions",
             {{"targets", all.parts.targets},
              {"parts", all.parts.parts},
              {"values", rows_json(all.parts.values)},
              {"logits", all.parts.logits}}},
            {"backward", backward_json(all)},
            {"cache", cache_json(all.config)}};
  const HostArray& logits = captures.at("logits");
  if (can_be_live(*all.tokenizer)) json["logits"] = array_json(logits.values, logits.shape);
  return json;
}

Json to_json(const Comparison& other, const GptConfig& config) {
  Json parameters = Json::array();
  for (const auto& [name, distance] : other.parameter_distance)
    parameters.push_back({{"name", name}, {"distance", distance}});
  return {{"source", other.source},
          {"config", other.config},
          {"head_scores", heads_json(other.heads, config)},
          {"lens", lens_json(other.lens)},
          {"attention_distance", other.attention_distance},
          {"parameters", parameters}};
}

Json to_json(const std::vector<InsideState>& over_training) {
  Json states = Json::array();
  for (const InsideState& state : over_training) {
    std::vector<std::vector<double>> scores;
    for (const HeadScore& s : state.heads)
      scores.push_back({s.previous, s.same, s.first, s.induction});
    states.push_back({{"iter", state.iter},
                      {"scores", scores},
                      {"loss_by_position", state.loss_by_position},
                      {"spread", state.spread}});
  }
  return states;
}

Json to_json(const Inspection& inspection, const Besides& besides) {
  Json json = to_json(inspection);
  if (besides.comparison) json["compare"] = to_json(*besides.comparison, inspection.config);
  if (!besides.over_training.empty()) json["over_training"] = to_json(besides.over_training);
  return json;
}

}  // namespace folio

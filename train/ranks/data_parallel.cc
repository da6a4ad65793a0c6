#include "train/ranks/data_parallel.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <limits>

#include "core/process/stop.h"

namespace folio {
namespace {

using Clock = std::chrono::steady_clock;

void copy(const Array& from, Array to) {
  const int64_t n = from.size();
  Array flat = to.reshape({n});
  backend(to)->layout.copy_block(from.reshape({n}), 0, flat, 0, n, 0);
}

// By a forward pass: how many it is depends on the model's options alone.
uint64_t count_draws(Gpt& model) {
  NoGrad no_grad;
  Context& context = model.context();
  const Generator before = context.random;
  const bool training = std::exchange(context.training, true);
  model(token_ids(std::vector<int32_t>{0}, {1, 1}, model.config().vocab_size, context.device, ""));
  context.training = training;
  return std::exchange(context.random, before).drawn - before.drawn;
}

}  // namespace

DataParallel::DataParallel(Communicator& ranks, Gpt& model, const Choices& choices)
    : ranks_(ranks), model_(model), choices_(choices) {
  const Device device = model.context().device;
  const int64_t bucket = choices.bucket_bytes / int64_t(sizeof(float));
  arena_ = arrange(model, size(), bucket, choices.whole_matrices && choices.shard);
  parameters_ = zeros({arena_.size()}, DType::f32, device);
  gradients_ = zeros({arena_.size()}, DType::f32, device);
  for (size_t i = 0; i < arena_.segments.size(); ++i) {
    const Arena::Segment& segment = arena_.segments[i];
    Parameter& parameter = *segment.parameter;
    const int64_t n = parameter.shape().size();
    const Array place = parameters_.slice(segment.begin, segment.begin + n);
    copy(parameter.array(), place);
    parameter = Parameter::leaf(place.reshape(parameter.shape()));
    parameter.after_gradient([this, i] { arrived(i); });
  }
  ranks_.broadcast(parameters_, 0).wait();
  if (shards()) {
    parts_ = parts_of(arena_, rank(), gradients_);
  } else {
    for (const Arena::Segment& s : arena_.segments)
      parts_.push_back({s.name, s.parameter, 0, s.parameter->shape().size(), gradient_at(s)});
  }
  draws_ = count_draws(model);
  begin();
}

DataParallel::~DataParallel() {
  for (const Arena::Segment& segment : arena_.segments) segment.parameter->after_gradient({});
}

Array DataParallel::gradient_at(const Arena::Segment& segment) const {
  const Shape& shape = segment.parameter->shape();
  return gradients_.slice(segment.begin, segment.begin + shape.size()).reshape(shape);
}

void DataParallel::begin() {
  for (const Arena::Segment& segment : arena_.segments) segment.parameter->zero_grad();
  has_gradient_.assign(arena_.segments.size(), false);
  waits_for_.clear();
  for (const Arena::Bucket& bucket : arena_.buckets) waits_for_.push_back(bucket.segments);
  sending_ = false;
  sent_ = 0;
  waited_ = 0;
}

void DataParallel::send_from_now_on() { sending_ = true; }

// The gradient of one backward is whole.
void DataParallel::arrived(size_t i) {
  Uninterruptible scope;  // the others wait for what is sent here
  const Arena::Segment& segment = arena_.segments[i];
  if (const Array& grad = segment.parameter->grad(); grad.defined()) {
    Array place = gradient_at(segment);
    if (has_gradient_[i])
      backend(place)->elementwise.accumulate(place, grad);
    else
      copy(grad, place);
    has_gradient_[i] = true;
    segment.parameter->zero_grad();
  }
  if (sending_) --waits_for_[segment.bucket];
  send_ready();
  ranks_.progress();
}

// In the order of the buckets, which is every rank's.
void DataParallel::send_ready() {
  while (sending_ && sent_ < arena_.buckets.size() && waits_for_[sent_] == 0)
    send(arena_.buckets[sent_++]);
}

void DataParallel::send(const Arena::Bucket& bucket) {
  const Array gradients = gradients_.slice(bucket.begin, bucket.end);
  if (!shards()) {
    pending_.push_back(ranks_.all_reduce(gradients));
    return;
  }
  pending_.push_back(ranks_.reduce_scatter(gradients, piece_of(gradients_, bucket)));
}

// What of the bucket belongs to this rank.
Array DataParallel::piece_of(const Array& arena, const Arena::Bucket& bucket) const {
  const int64_t piece = arena_.piece(bucket), begin = bucket.begin + rank() * piece;
  return arena.slice(begin, begin + piece);
}

void DataParallel::finish_gradients(bool whole) {
  for (size_t i = 0; whole && i < arena_.segments.size(); ++i)
    check(has_gradient_[i], "parameter {} got no gradient; is it used in the loss?",
          arena_.segments[i].name);
  while (sent_ < arena_.buckets.size()) send(arena_.buckets[sent_++]);
  wait_for_all();
}

void DataParallel::wait_for_all() {
  const auto begin = Clock::now();
  for (Pending& pending : pending_) pending.wait();
  pending_.clear();
  waited_ += std::chrono::duration<double>(Clock::now() - begin).count();
}

double DataParallel::time_exchange() {
  double shortest = std::numeric_limits<double>::infinity();
  for (int i = 0; i < 3; ++i) {
    ranks_.gather("");  // all begin together
    begin();
    finish_gradients(false);
    gather_parameters();
    ranks_.gather("");
    shortest = std::min(shortest, waited());
  }
  return shortest;
}

Array DataParallel::share_of_norm() const {
  if (parts_.empty()) return zeros({}, DType::f32, model_.context().device);
  std::vector<Array> gradients;
  for (const Part& part : parts_) gradients.push_back(part.gradient);
  Array norm = backend(gradients.front())->optimizer.norm(gradients);
  if (!shards()) backend(norm)->elementwise.scale(norm, 1 / std::sqrt(double(size())));
  return norm;
}

void DataParallel::gather_parameters() {
  if (!shards()) return;
  for (const Arena::Bucket& bucket : arena_.buckets) {
    pending_.push_back(ranks_.all_gather(piece_of(parameters_, bucket),
                                         parameters_.slice(bucket.begin, bucket.end)));
  }
  wait_for_all();
}

const Arena::Segment& DataParallel::segment_of(const std::string& parameter) const {
  const auto found = std::ranges::find(arena_.segments, parameter, &Arena::Segment::name);
  check(found != arena_.segments.end(), "the model has no parameter {}", parameter);
  return *found;
}

const Shape& DataParallel::shape_of(const std::string& parameter) const {
  return segment_of(parameter).parameter->shape();
}

Array DataParallel::whole(const std::string& parameter, const Array& part) {
  const Arena::Segment& segment = segment_of(parameter);
  const Shape& shape = segment.parameter->shape();
  Array whole({shape.size()}, DType::f32, model_.context().device);
  for (int r = 0; r < size(); ++r) {
    const auto [begin, end] = part_range(arena_, segment, r);
    if (begin >= end) continue;
    const Array place = whole.slice(begin, end);
    if (r == rank()) copy(part, place);
    ranks_.broadcast(place, r).wait();
  }
  return whole.reshape(shape);
}

Array DataParallel::gather(const Array& row) {
  Array rows({int64_t(size()), row.size()}, row.dtype(), row.device());
  pending_.push_back(ranks_.all_gather(row, rows.reshape({rows.size()})));
  wait_for_all();
  return rows;
}

std::vector<double> DataParallel::sum_of_shares(
    size_t n, const std::function<std::vector<double>()>& compute) {
  std::vector<double> values(n + 1);  // the last: that a stop was requested
  try {
    std::ranges::copy(compute(), values.begin());
  } catch (const Interrupted&) {
    values.back() = 1;
  }
  const Array sums = to_array(values, {int64_t(values.size())}, model_.context().device);
  ranks_.all_reduce(sums).wait();
  values = to_vector<double>(sums);
  if (values.back() > 0) stop_with_others();
  values.pop_back();
  return values;
}

void DataParallel::stop_with_others() {
  if (!stop_requested()) request_stop(SIGTERM);
  throw Interrupted{stop_signal()};
}

void DataParallel::each_gradient(
    const std::function<void(const std::string&, const Array&)>& visit) const {
  for (size_t i = 0; i < arena_.segments.size(); ++i)
    if (has_gradient_[i]) visit(arena_.segments[i].name, gradient_at(arena_.segments[i]));
}

}  // namespace folio

#include "train/run.h"

#include <algorithm>

#include "checkpoint/model_file.h"
#include "checkpoint/open_model.h"
#include "checkpoint/saved_text_format.h"
#include "data/torch_file/torch_file.h"
#include "train/check_fits.h"
#include "train/nanogpt_run.h"
#include "train/ranks/shared_state.h"
#include "train/ranks/together.h"
#include "train/resume.h"

namespace folio {
namespace {

namespace fs = std::filesystem;

// A model to fine-tune: nanoGPT's init_from=gpt2. Only dropout and a shorter block_size are the
// user's.
std::unique_ptr<Gpt> pretrained(TrainOptions& options, const OptionOrigins& given,
                                const Meta& dataset, std::vector<std::string>& notes,
                                TextFormat& format) {
  OpenedModel opened = open_model(options.init_from, options.out_dir, device_named(options.device));
  notes.push_back("fine-tuning " + opened.described());
  std::string remark = check_vocabulary(opened, dataset, options.allow_other_vocab);
  if (!remark.empty()) notes.push_back(remark);
  keep_shape(options, given, opened.model->config(), opened.source, true);
  if (options.model.block_size < opened.model->config().block_size)
    opened.model->crop_block_size(options.model.block_size);
  opened.model->context().random = {uint64_t(options.seed)};
  // With another vocabulary (allow_other_vocab) its ids and texts are others'.
  if (!opened.tokenizer || *opened.tokenizer == *dataset.tokenizer) format = opened.format;
  return std::move(opened.model);
}

// The newest state in out_dir.
CheckpointFile state_to_resume(const TrainOptions& options) {
  for (const fs::path& path : {last_checkpoint(options.out_dir), best_checkpoint(options.out_dir)})
    if (fs::exists(path)) return load(path);
  fail("{}: holds no checkpoint to resume (last.h5 or ckpt.h5); start with --init_from=scratch",
       options.out_dir);
}

// What sets the streams of weights and masks apart from that of the batches.
Generator batch_generator(const TrainOptions& options) {
  return {uint64_t(options.seed) ^ 0x6261746368};
}

}  // namespace

// What is known before the dataset is opened.
struct Run::Start {
  TrainOptions options;
  OptionOrigins origins;
  std::vector<std::string> notes;
  std::unique_ptr<RunFolder> folder;
  std::optional<CheckpointFile> resumed;
  Communicator* ranks = nullptr;  // null: one process
};

Run::Start Run::start_of(const TrainOptions& options, const OptionOrigins& given,
                         Communicator* ranks) {
  if (ranks && ranks->size() == 1) ranks = nullptr;
  if (options.init_from != "resume") return {options, given, {}, nullptr, {}, ranks};
  Start start;
  start.ranks = ranks;
  // Locked before it is read: nobody may save a newer state in between.
  together(ranks, [&] {
    const bool locks = !ranks || ranks->rank() == 0;
    if (locks && !options.eval_only && fs::exists(options.out_dir))
      start.folder = std::make_unique<RunFolder>(options.out_dir);
  });
  start.resumed = state_to_resume(options);
  check_full_weights(*start.resumed);
  start.options = resumed_options(*start.resumed, options, given, start.origins, start.notes);
  return start;
}

Run::Run(const TrainOptions& options, const OptionOrigins& given, Communicator* ranks)
    : Run(start_of(options, given, ranks)) {}

Run::Run(Start start)
    : options(std::move(start.options)),
      origins(std::move(start.origins)),
      notes(std::move(start.notes)),
      folder(std::move(start.folder)),
      data(open_dataset((fs::path(options.data_dir) / options.dataset).string())),
      batches(data.train, batch_generator(options), batch_order_named(options.batches)),
      data_digest_(dataset_digest(data)),
      resumed_(start.resumed.has_value()) {
  const Device device = device_named(options.device);
  const int processes = start.ranks ? start.ranks->size() : 1;
  bool nanogpt = !resumed_ && is_torch_file(options.init_from);
  std::optional<CheckpointFile> file = std::move(start.resumed);
  if (nanogpt) {
    file = state_to_take_over(options, data.meta, taken_over);
    keep_shape(options, origins, model_config(*file), file->path.string(), true);
    crop_block_size(*file, options.model.block_size);
  }
  if (file) {
    model = take_model(*file, device);
    model->context().random = {uint64_t(options.seed)};
  } else if (options.init_from == "scratch") {
    options.model.vocab_size = data.meta.tokenizer->vocab_size();
    check_fits(options.model, options, processes);
    model = std::make_unique<Gpt>(options.model, device, uint64_t(options.seed));
  } else {
    model = pretrained(options, origins, data.meta, notes, text_format);
  }
  check_fits(model->config(), options, processes);
  Context& context = model->context();
  context.dtype = dtype_named(options.dtype);
  context.training = true;
  context.recompute = options.recompute;
  context.dropout = options.model.dropout;
  if (start.ranks) share_out(*start.ranks);
  optimizer = make_optimizer(*model, ranks ? ranks->parts() : whole_parts(*model), options);
  if (options.ema > 0) average.emplace(*model, options.ema);
  if (resumed_) restore(*file);
  if (nanogpt) restore_training(*file);
}

void Run::share_out(Communicator& communicator) {
  const int64_t micros = options.gradient_accumulation_steps, size = communicator.size();
  check(
      micros % size == 0,
      "gradient_accumulation_steps={} is not divisible by the number of processes, {}: each takes "
      "as many of an iteration's micro-batches as the others; start as many as divide it, or set "
      "it to {}",
      micros, size, (micros + size - 1) / size * size);
  ranks = std::make_unique<DataParallel>(
      communicator, *model,
      DataParallel::Choices{.shard = options.zero_stage > 0,
                            .whole_matrices = options.optimizer == "muon",
                            // What one rank sends another of a bucket must be worth a message.
                            .bucket_bytes = std::max<int64_t>(4 << 20, size * (64 << 10))});
}

CheckpointFile Run::snapshot() const {
  CheckpointFile file;
  put_parameters(file, *model);
  optimizer->make_state();
  if (ranks && ranks->shards())
    put_shared_state(file, *ranks, *optimizer);
  else
    for (const auto& [name, values] : optimizer->state) file.tensors[name] = values;
  if (average) put_average(file, average->values);
  put_config(file, options.model);  // whose dropout is the run's own
  for (const auto& [key, value] : option_values(options))
    if (!is_model_field(key)) file.attributes["option/" + key] = value;
  const Generator& dropout = model->context().random;
  const BatchSampler::Place& place = batches.place();
  file.attributes["format"] = std::string("folio checkpoint 1");
  file.attributes["iter_num"] = iter;
  file.attributes["best_val_loss"] = best_val_loss;
  file.attributes["best_iter"] = best_iter;
  file.attributes["adamw/steps"] = optimizer->steps;  // whichever optimiser it is
  file.attributes["random/dropout/seed"] = int64_t(dropout.seed);
  file.attributes["random/dropout/drawn"] = int64_t(dropout.drawn);
  file.attributes["random/batches/seed"] = int64_t(place.generator.seed);
  file.attributes["random/batches/drawn"] = int64_t(place.generator.drawn);
  if (place.taken > 0) file.attributes["random/batches/taken"] = place.taken;
  file.attributes["dataset/digest"] = data_digest_;
  put_tokenizer(file, *data.meta.tokenizer);
  put_text_format(file, text_format);
  return file;
}

void Run::restore(CheckpointFile& file) {
  auto integer = [&](const char* key) { return file.attribute<int64_t>(key); };
  check(*saved_tokenizer(file) == *data.meta.tokenizer,
        "{}: the model was trained on another vocabulary than that of dataset {}",
        file.path.string(), options.dataset);
  restore_training(file);
  text_format = saved_text_format(file, model->config().vocab_size);
  saved_iter = iter;
  if (file.has("dataset/digest") && file.attribute<std::string>("dataset/digest") != data_digest_)
    notes.push_back(
        fmt::format("dataset {} has changed since {} was saved: it has other tokens now",
                    options.dataset, file.path.string()));
  optimizer->steps = integer("adamw/steps");
  model->context().random = {uint64_t(integer("random/dropout/seed")),
                             uint64_t(integer("random/dropout/drawn"))};
  batches.set_place(
      {.generator = {uint64_t(integer("random/batches/seed")),
                     uint64_t(integer("random/batches/drawn"))},
       .taken = file.has("random/batches/taken") ? integer("random/batches/taken") : 0});
  if (average) average->values = take_average(file, *model);
}

void Run::restore_training(CheckpointFile& file) {
  iter = file.attribute<int64_t>("iter_num");
  best_val_loss = file.attribute<double>("best_val_loss");
  // A file that does not say: early_stop counts from here on.
  best_iter = file.has("best_iter") ? file.attribute<int64_t>("best_iter") : iter;
  if (!file.has("adamw/steps")) return;
  optimizer->steps = file.attribute<int64_t>("adamw/steps");
  for (auto& [name, values] : optimizer->state) {
    // Of nanoGPT's, AdamW's: what another optimiser keeps besides starts at zero.
    if (!resumed_ && !file.has(name)) continue;
    const Array& saved = file.tensor(name);
    const Part& part = optimizer->part_of(name);
    check(saved.shape() == part.parameter->shape(), "{}: tensor {} is {}, expected {}",
          file.path.string(), name, saved.shape(), part.parameter->shape());
    values = to(part.of(saved), model->context().device);
    if (!part.is_whole()) values = backend(values)->elementwise.cast(values, values.dtype());
  }
}

}  // namespace folio

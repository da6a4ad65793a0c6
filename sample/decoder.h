#pragma once
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "nn/gpt.h"
#include "sample/past_block.h"
#include "sample/sampler.h"

namespace folio {

// Runs a model over a batch of sequences of different lengths, without gradients: each has its own
// position, joins and leaves when it likes, and its logits are the same bits whatever else is in
// the batch, with the cache and without. See Backend::linear_packed and attention_cached.
//
// A step feeds the model each sequence's new tokens and attention reads the rest from the cache.
// When a sequence's window moves (see ContextWindow), every position in it has changed, and with it
// every key and value, so the window is computed again; keeping the old ones would mix positions.
// With PastBlock::window it never moves, and the cache is a ring.
class Decoder {
 public:
  struct Options {
    ContextWindow window;
    int64_t batch_size = 1;  // sequences at most
    int64_t max_length = 0;  // tokens that a sequence will have at most, for the cache; 0: any
    bool kv_cache = true;    // off: every step computes every window
    int64_t tokens = 0;      // n: ids from n on are rows without a token; 0: every row has one
    std::optional<DType> kv_cache_dtype = {};  // the model's, unless given
    bool record = true;  // off: a step of one token each is asked for anew (see TokenStep)
  };
  // The model must have been packed.
  Decoder(Gpt& model, const Options& options);
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  // A prompt that has been read once, for any number of sequences to start from.
  struct Prefix {
    std::vector<int32_t> tokens;
    KvCache cache;  // one row
    Array logits;   // [1, V]
  };
  Prefix prefill(std::vector<int32_t> tokens);

  // Each adds row size(), which must be below batch_size.
  void add(std::vector<int32_t> tokens);
  void add(const Prefix& prefix);
  void append(int64_t row, std::span<const int32_t> tokens);
  // The row's tokens become these, one or more: what it has read of their beginning stays read.
  void replace(int64_t row, std::vector<int32_t> tokens);
  // The last row takes this one's place.
  void remove(int64_t row);

  // Reads the tokens that were added. Error for a sequence without tokens. Interrupted (see
  // core/process/stop.h), it can be called again.
  void step();
  // Of the token that follows row's, [options.tokens], as of the last step(), read from the device.
  // Rows of the model without a token are left out here, and so everywhere.
  std::vector<float> logits(int64_t row) const;
  // That token for every row, drawn on the device; Error for logits that are not finite.
  std::vector<int32_t> draw(const SamplerOptions& options, std::span<const RowDraw> rows) const;
  // The same and append() of it, without waiting for the device: whoever asks for tokens() does,
  // and so does now and then a step; the Error comes then. Without a repetition_penalty.
  void draw_ahead(const SamplerOptions& options, std::span<const RowDraw> rows);

  int64_t size() const { return int64_t(sequences_.size()); }
  int64_t length(int64_t row) const { return int64_t(sequences_[size_t(row)].tokens.size()); }
  const std::vector<int32_t>& tokens(int64_t row) {
    take_drawn();
    return sequences_[size_t(row)].tokens;
  }
  size_t cache_bytes() const { return cache_.bytes(); }
  // Tokens that the model has been run on, of all sequences.
  int64_t tokens_run() const { return tokens_run_; }

 private:
  struct Sequence {
    std::vector<int32_t> tokens;  // the last drawn_.size() of them are not here yet
    int64_t start = 0;            // the token at position 0 of the cache's row
    int64_t read = 0;             // tokens that the logits know
  };
  int64_t vocab_size() const { return model_.config().vocab_size; }
  int64_t prepare(int64_t row);
  void forward(int64_t row, int64_t count, int64_t fresh);
  void read(const Array& ids, KvCache& rows, int64_t row);
  void read_token_of_each();
  std::vector<int32_t> tokens_of_each(int64_t row, int64_t count, int64_t left, int64_t n) const;
  Array& next_tokens();
  void take_drawn();

  Gpt& model_;
  Options options_;
  KvCache cache_;
  std::vector<Sequence> sequences_;
  int64_t tokens_run_ = 0;
  Array logits_;  // [batch_size, V] f32: of every row of the model
  // The step in which each of so many sequences reads one token, none past a certain position: the
  // same work again and again, so it is recorded.
  struct TokenStep {
    KvCache rows;
    std::unique_ptr<Recording> recording;
  };
  // By sequences and the position that none reaches. Without a step: it was made once so far.
  std::map<std::pair<int64_t, int64_t>, std::unique_ptr<TokenStep>> token_steps_;
  std::map<int64_t, Array> next_;  // by sequences: [sequences, 1] i32, what such a step reads
  // Ids that were drawn ahead and that the host has not read, and how: [a draw each, batch_size].
  Array drawn_ids_;
  std::vector<std::vector<RowDraw>> drawn_;
};

}  // namespace folio

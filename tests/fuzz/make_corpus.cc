// make_corpus FOLDER: writes the inputs that every fuzz target starts from, one folder a target.
// tests/fuzz/run calls it each time: files of an older layout would be refused at their first line.
#include <nlohmann/json.hpp>

#include "checkpoint/hugging_face.h"
#include "data/corpus/prepare.h"
#include "data/files/files.h"
#include "data/hdf5/seal.h"
#include "data/tokenizer/bpe_files.h"
#include "data/tokenizer/byte_alphabet.h"
#include "tests/checkpoint/tiny_checkpoint.h"
#include "tests/data/temporary_folder.h"
#include "tests/data/torch_file/torch_file_writer.h"

namespace fs = std::filesystem;
using namespace folio;
using namespace std::string_literals;

namespace {

const std::string cut = "\xff\xff";

class Corpus {
 public:
  explicit Corpus(fs::path folder) : folder_(std::move(folder)) {}
  // `kind` is the byte that comes first.
  void add(const std::string& target, const std::string& name, char kind,
           const std::string& bytes) {
    fs::create_directories(folder_ / target);
    write_file((folder_ / target / name).string(), kind + bytes);
  }

 private:
  fs::path folder_;
};

void add_hugging_face(Corpus& corpus, const TemporaryFolder& folder) {
  Gpt model(tiny_model, cpu, 1);
  save_hugging_face(folder.path(), model, nullptr);
  std::string weights = read_file(folder / "model.safetensors");
  corpus.add("hugging_face", "model", 0, read_file(folder / "config.json") + cut + weights);
  corpus.add(
      "hugging_face", "torch", 2,
      read_file(folder / "config.json") + cut +
          torch_writer::file(
              torch_writer::dict(
                  {{"module.wpe.weight",
                    torch_writer::tensor({.storage_size = 24,
                                          .shape = {tiny_model.block_size, tiny_model.n_embd},
                                          .stride = {tiny_model.n_embd, 1}})}}),
              {{"0", std::string(96, '\0')}}));
  const GptConfig llama{.block_size = 3,
                        .vocab_size = 4,
                        .n_layer = 1,
                        .n_head = 2,
                        .n_embd = 4,
                        .bias = false,
                        .activation = Activation::swiglu(),
                        .position = "rotary",
                        .rope_factor = 8,
                        .norm = "rms",
                        .n_kv_head = 1,
                        .tie_weights = false};
  for (const char* qk_norm : {"off", "rms_learned"}) {
    GptConfig config = llama;
    config.qk_norm = qk_norm;
    Gpt other(config, cpu, 1);
    const TemporaryFolder exported;
    save_hugging_face(exported.path(), other, nullptr);
    corpus.add(
        "hugging_face", fmt::format("llama_{}", qk_norm), 0,
        read_file(exported / "config.json") + cut + read_file(exported / "model.safetensors"));
  }
  corpus.add("safetensors", "header", 0, weights);
  corpus.add("safetensors", "model", 2, weights);
  auto shard = [](const std::string& name, const std::string& dtype, const std::string& bytes) {
    std::string json = fmt::format(R"({{"{}":{{"dtype":"{}","shape":[2],"data_offsets":[0,{}]}}}})",
                                   name, dtype, bytes.size());
    return torch_writer::little_endian(json.size(), 8) + json + bytes;
  };
  corpus.add("safetensors", "shards", 3,
             R"({"weight_map":{"x":"a.safetensors","y":"b.safetensors"}})" + cut +
                 shard("x", "F16", "\0\x3c\0\x40"s) + cut + shard("y", "BF16", "\x80\x3f\0\x40"s));
}

void add_jinja(Corpus& corpus) {
  corpus.add("jinja", "chatml", 0,
             "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m.content | trim }}"
             "{% endfor %}{% if add_generation_prompt %}{{ 'assistant' }}{% endif %}");
  corpus.add(
      "jinja", "thinking", 0,
      "{%- set ns = namespace(last=messages|length - 1) -%}\n"
      "{%- for m in messages[::-1] %}\n  {%- if m.content is string and loop.first %}\n"
      "    {%- set ns.last = loop.index0 %}\n    {%- set c = m.content.split('</think>')[-1] %}\n"
      "    {{- bos_token ~ c.strip('\\n') if '</think>' in m.content else c[1:] }}\n"
      "  {%- elif not loop.last %}{% break %}{% endif %}\n{% endfor %}{# end #}");
}

void add_dataset(Corpus& corpus, const TemporaryFolder& folder) {
  write_file(folder / "input.txt", std::string(40, 'a') + "b\u00e9c\n");
  prepare({.name = "tiny", .input = folder / "input.txt", .data_dir = folder / "datasets"});
  auto part = [&](const char* name) { return read_file(folder / "datasets/tiny/" + name); };
  std::string meta = part("meta.json");
  meta.replace(meta.find(folder.path()), folder.path().size(), "");  // a seed of no machine's own
  corpus.add("hugging_face", "dataset", 1, meta + cut + part("train.bin") + cut + part("val.bin"));
}

void add_checkpoint(Corpus& corpus, const TemporaryFolder& folder) {
  save(folder / "ckpt.h5", tiny_checkpoint());
  std::string bytes = read_file(folder / "ckpt.h5");
  corpus.add("checkpoint", "whole", 0, bytes);
  corpus.add("checkpoint", "block", 1, bytes.substr(0, seal_bytes));
  corpus.add("checkpoint", "edits", 2, "\0\1\2\3\4\5\6\7ab\\c"s);
}

// nanoGPT's ckpt.pt of the model `tiny_model`, every tensor in one storage of 24 zeros.
void add_torch_file(Corpus& corpus) {
  namespace w = torch_writer;
  const int64_t C = tiny_model.n_embd;
  w::Items weights;
  auto add = [&](const std::string& name, std::vector<int64_t> shape) {
    std::vector<int64_t> stride = {1};
    if (shape.size() == 2) stride = {shape[1], 1};
    weights.emplace_back(name, w::tensor({.storage_size = 24, .shape = shape, .stride = stride}));
  };
  add("transformer.wte.weight", {tiny_model.vocab_size, C});
  add("transformer.wpe.weight", {tiny_model.block_size, C});
  std::string block = "_orig_mod.transformer.h.0.";
  add(block + "ln_1.weight", {C});
  add(block + "attn.c_attn.weight", {3 * C, C});
  add(block + "attn.c_proj.weight", {C, C});
  add(block + "ln_2.weight", {C});
  add(block + "mlp.c_fc.weight", {4 * C, C});
  add(block + "mlp.c_proj.weight", {C, 4 * C});
  add("transformer.ln_f.weight", {C});
  w::Items args = {{"bias", w::boolean(false)}, {"dropout", w::number(0)}};
  for (auto [key, value] : {std::pair{"block_size", tiny_model.block_size},
                            {"vocab_size", tiny_model.vocab_size},
                            {"n_layer", tiny_model.n_layer},
                            {"n_head", tiny_model.n_head},
                            {"n_embd", tiny_model.n_embd}})
    args.emplace_back(key, w::integer(value));
  std::string step = w::tensor({.key = "1", .storage_size = 24, .shape = {}, .stride = {}});
  std::string optimizer =
      w::dict({{"state", "}(" + w::integer(0) + w::dict({{"step", step}}) + "u"},
               {"param_groups", w::list({w::dict({{"weight_decay", w::number(0.1)}})})}});
  std::string object = w::dict({{"model", w::dict(weights)},
                                {"model_args", w::dict(args)},
                                {"optimizer", optimizer},
                                {"iter_num", w::integer(5)},
                                {"best_val_loss", w::number(1.5)},
                                {"config", w::dict({{"dataset", w::text("tiny")}})}});
  corpus.add("torch_file", "pickle", 1, w::pickle(object));
  std::string numbers(96, '\0');
  corpus.add("torch_file", "small_zip", 0,
             w::file(w::list({w::tensor({.storage_size = 24, .shape = {2, 3}, .stride = {1, 2}})}),
                     {{"0", numbers}}));
  // Protocol 4: frames, a memo, globals from the stack, short texts and integers.
  corpus.add("torch_file", "protocol4", 1,
             "\x80\4\x95\x20\0\0\0\0\0\0\0}\x94(\x8c\1aK\7\x8c\1bM\1\2\x8c\1cJ\1\2\3\4"
             "\x8c\1d\x8c\5torch\x8c\4int8\x93h\0N\x88\x86u."s);
  corpus.add("torch_file", "meta", 2,
             "\x80\4}(\x8c\nvocab_sizeK\1\x8c\4itos}K\0\x8c\1as\x8c\4stoi}\x8c\1aK\0su."s);
}

void add_tokenizers(Corpus& corpus, const TemporaryFolder& folder) {
  // Every byte, then "ab" and the end of the text.
  std::string vocab = "{";
  for (int byte = 0; byte < 256; ++byte)
    vocab +=
        nlohmann::json(spell_bytes(std::string(1, char(byte)))).dump() + fmt::format(":{},", byte);
  vocab += R"("ab":256,"<|endoftext|>":257})";
  corpus.add("tokenizer", "pair", 0, vocab + cut + "#version: 0.2\na b\n");
  corpus.add("tokenizer", "with_config", 3,
             vocab + cut + "a b\n" + cut +
                 R"({"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": false,)"
                 R"( "added_tokens_decoder": {"258": {"content": "<x>", "special": false}},)"
                 R"( "additional_special_tokens": ["<y>"], "pad_token": "<pad>"})");
  corpus.add("tokenizer", "tokenizer_json", 1,
             R"({"added_tokens": [{"id": 257, "content": "<|endoftext|>", "special": true}],)"
             R"( "normalizer": null, "pre_tokenizer": {"type": "ByteLevel",)"
             R"( "add_prefix_space": false, "use_regex": true}, "model": {"type": "BPE",)"
             R"( "vocab": )" +
                 vocab + R"(, "merges": [["a", "b"]]}})");
  const std::string level = R"({"type": "ByteLevel", "add_prefix_space": false,)"
                            R"( "use_regex": false})";
  auto split = [](const std::string& pattern, const std::string& behavior) {
    return R"({"type": "Split", "pattern": )" + pattern + R"(, "behavior": ")" + behavior +
           R"(", "invert": false})";
  };
  // A file of many settings; each with other steps.
  auto file = [&](const std::string& steps, const std::string& model) {
    return R"({"added_tokens": [{"id": 257, "content": "<|endoftext|>", "special": true,)"
           R"( "lstrip": true, "rstrip": true}, {"id": 258, "content": "e\u0301", "special": false,)"
           R"( "normalized": true, "single_word": true}], "normalizer": {"type": "NFC"},)"
           R"( "pre_tokenizer": {"type": "Sequence", "pretokenizers": [)" +
           steps + ", " + level +
           R"(]}, "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken":)"
           R"( {"id": "<|endoftext|>"}}, {"Sequence": {"id": "A"}}], "special_tokens":)"
           R"( {"<|endoftext|>": {"ids": [257]}}}, "model": {"type": "BPE", )" +
           model + R"("vocab": )" + vocab + R"(, "merges": ["a b"]}})";
  };
  const std::string qwen = std::get<SplitStep>(qwen_steps()[0]).pattern;
  const std::string known = nlohmann::json{{"Regex", qwen}}.dump();
  corpus.add("tokenizer", "qwen", 1, file(split(known, "Isolated"), R"("ignore_merges": true, )"));
  corpus.add("tokenizer", "digits", 1,
             file(R"({"type": "Digits", "individual_digits": true})", ""));
  const std::string words = R"x({"Regex": "(?i:[a-e]+)|\\s{1,3}(?!\\S)"})x";
  const std::string after_letter = R"x({"Regex": "(?<=\\p{L})x|^y$"})x";
  corpus.add(
      "tokenizer", "patterns", 1,
      file(split(words, "MergedWithPrevious") + ", " + split(R"({"String": "ab"})", "Removed") +
               ", " + split(after_letter, "Contiguous"),
           ""));
  corpus.add("tokenizer", "unknown", 1,
             R"({"pre_tokenizer": )" + level +
                 R"(, "model": {"type": "BPE", "unk_token": "a", "fuse_unk": true, "vocab":)"
                 R"( {"a": 0, "b": 1, "ab": 2, "<": 3}, "merges": [["a", "b"]]}})");
  corpus.add("tokenizer", "characters_json", 1,
             R"({"model": {"type": "WordLevel", "vocab": {"a": 0, "\u00e9": 1}}})");
  corpus.add("tokenizer", "kept_characters", 2, to_text(CharTokenizer(U"ab\u00e9")));
  write_file(folder / "vocab.json", vocab);
  write_file(folder / "merges.txt", "a b\n");
  corpus.add("tokenizer", "kept_bpe", 2, to_text(*load_bpe(folder / "vocab.json")));
  write_file(folder / "tokenizer.json",
             file(split(known, "Isolated"), R"("ignore_merges": true, )"));
  corpus.add("tokenizer", "kept_settings", 2, to_text(*load_bpe(folder / "tokenizer.json")));
}

void add_options(Corpus& corpus) {
  corpus.add("options", "train", 0,
             "out_dir = \"out\"  # where\nn_layer = 4\nn_head = 4\nn_embd = 0x80\n"
             "dropout = 0.2\nlearning_rate = 1e-3\nbias = false\n"
             "dataset = '''tiny'''\nmax_iters = 2_000\n");
  corpus.add("options", "sample", 1,
             "start = \"\\u00e9\\n\"\nstop = [\"a\", \"b\"]\ntemperature = 0.8\ntop_k = 0b11\n"
             "[x.y]\nz = {a = 1979-05-27T07:32:00Z, b = inf}\n[[w]]\n");
  corpus.add("options", "python", 2,
             "import time\nout_dir = 'out'  # where\nwandb_run_name = 'ft-' + str(time.time())\n"
             "batch_size = (5 - 1) * 8 // 3\nmax_iters = 2_000\nlr_decay_iters = max_iters\n"
             "min_lr = learning_rate / 10 + 2 ** -20\nbias = True\n");
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) return 2;
  Corpus corpus(arguments[1]);
  const TemporaryFolder folder;
  add_hugging_face(corpus, folder);
  add_dataset(corpus, folder);
  add_jinja(corpus);
  add_checkpoint(corpus, folder);
  add_torch_file(corpus);
  add_tokenizers(corpus, folder);
  add_options(corpus);
}

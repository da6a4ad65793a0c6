#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "data/dataset/token_file.h"
#include "data/tokenizer/tokenizer.h"

namespace folio {

// What meta.json says of a prepared dataset.
struct Meta {
  std::shared_ptr<const Tokenizer> tokenizer;  // never null once loaded
  int64_t train_tokens = 0, val_tokens = 0;
  std::string source;  // the file or address that the text came from
  // Hex; empty in files of earlier versions. Of the whole of train.bin and val.bin, as sha256sum
  // gives it, and what open_dataset knows them by without reading all of them.
  std::string train_sha256 = {}, val_sha256 = {};
  std::string train_fingerprint = {}, val_fingerprint = {};
};

std::string to_json(const Meta& meta);
// Error, with `path` and the key, for a file that is missing or not as to_json writes it.
Meta load_meta(const std::string& path);

struct Dataset {
  Meta meta;
  TokenFile train, val;
};

// 32 hex digits that stand for the ids of both splits: equal splits, equal digits, on every
// machine. It reads only samples of large files (data/files/fingerprint.h), and needs no digests in
// meta.json.
std::string dataset_digest(const Dataset& dataset);

// train.bin and val.bin of `directory`, and meta.json or, without it, the meta.pkl of nanoGPT's
// character datasets. Error if one is missing, if they do not belong
// together (the sizes and the fingerprints that meta.json has of the two others) or if an id is not
// in the vocabulary (TokenFile::check_ids).
Dataset open_dataset(const std::string& directory);

}  // namespace folio

#pragma once
#include "data/hdf5/checkpoint_file.h"
#include "data/hugging_face/text_format.h"

namespace folio {

// What a model's file keeps of the format of its texts, so that it outlives fine-tuning: the
// attributes "end_tokens" (eos_token_id), "chat_template" and "chat_tokens", each JSON. A file
// without them, from before there were any, has an empty format.
void put_text_format(CheckpointFile& file, const TextFormat& format);
// Throws Error, with the file and the key, for what put_text_format did not write.
TextFormat saved_text_format(const CheckpointFile& file, int64_t vocab_size);

}  // namespace folio

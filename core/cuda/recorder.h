#pragma once

namespace folio::cuda {

// Whether this thread asks for work that is being recorded. Arrays made then lie in memory that
// only recorded work uses: it is done again, when all other memory may long hold something else.
bool is_recording();

}  // namespace folio::cuda

#include "core/cpu/scratch.h"

#include "core/cpu/tiles/amx.h"

namespace folio {

size_t Scratch::page_for(size_t bytes) {
  constexpr size_t huge_page = size_t{2} << 20, worth_it = size_t{512} << 10;
  return bytes >= worth_it && amx_tiles() ? huge_page : alignment;
}

}  // namespace folio

#pragma once

namespace folio {

int quantize_command(int argc, char** argv);

}  // namespace folio

#pragma once

namespace folio {

int inspect_command(int argc, char** argv);

}  // namespace folio

#pragma once

namespace folio {

int download_command(int argc, char** argv);

}  // namespace folio

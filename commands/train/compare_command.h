#pragma once

namespace folio {

int compare_command(int argc, char** argv);

}  // namespace folio

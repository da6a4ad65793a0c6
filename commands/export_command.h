#pragma once

namespace folio {

int export_command(int argc, char** argv);

}  // namespace folio

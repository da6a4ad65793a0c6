#include "train/ranks/shared_state.h"

#include <set>

#include "train/ranks/together.h"

namespace folio {
namespace {

std::string parameter_of(const std::string& state_name) {  // "adamw/m/NAME": behind the second '/'
  return state_name.substr(state_name.find('/', state_name.find('/') + 1) + 1);
}

// The names of the states of all ranks, each of which knows those of its own parts.
std::set<std::string> state_names(Communicator& ranks, const Optimizer& optimizer) {
  std::string own;
  for (const auto& [name, values] : optimizer.state) own += name + "\n";
  std::set<std::string> names;
  for (const std::string& lines : ranks.gather(own))
    for (size_t begin = 0, end; (end = lines.find('\n', begin)) != lines.npos; begin = end + 1)
      names.insert(lines.substr(begin, end - begin));
  return names;
}

// What is to be fetched from `after` on, in order.
void fetch_the_rest(const CheckpointFile& file, const std::string& after) {
  for (auto place = file.tensors.upper_bound(after); place != file.tensors.end(); ++place)
    if (!place->second.defined()) file.fetch(place->first);
}

// save(), and whatever it fails with, the other ranks give all that they expect to give.
void save_and_fetch_all(const std::filesystem::path& path, const CheckpointFile& file) {
  CheckpointFile noted = file;
  std::string last;
  noted.fetch = [&](const std::string& name) { return file.fetch(last = name); };
  try {
    save(path, noted);
  } catch (const std::exception&) {
    fetch_the_rest(file, last);
    throw;
  }
}

}  // namespace

void put_shared_state(CheckpointFile& file, DataParallel& ranks, const Optimizer& optimizer) {
  for (const std::string& name : state_names(ranks.ranks(), optimizer))
    file.tensors[name] = Array::shape_only(ranks.shape_of(parameter_of(name)), DType::f32);
  file.fetch = [&ranks, &optimizer](const std::string& name) {
    const auto own = optimizer.state.find(name);
    return ranks.whole(parameter_of(name), own == optimizer.state.end() ? Array{} : own->second);
  };
}

void save_together(const std::filesystem::path& path, const CheckpointFile& file,
                   DataParallel* ranks) {
  together(ranks ? &ranks->ranks() : nullptr, [&] {
    if (!ranks)
      save(path, file);
    else if (ranks->rank() == 0)
      save_and_fetch_all(path, file);
    else
      fetch_the_rest(file, "");
  });
}

}  // namespace folio

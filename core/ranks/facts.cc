#include "core/ranks/facts.h"

#include <link.h>
#include <sched.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstring>
#include <span>
#include <thread>

#include "core/check.h"

namespace folio {
namespace {

// Of a machine with more processors than a cpu_set_t has room for: all.
int cores_allowed() {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
    return int(std::thread::hardware_concurrency());
  return CPU_COUNT(&allowed);
}

// The id that the linker gave the program (NT_GNU_BUILD_ID), in the notes of a loaded segment.
std::string build_id_in(std::span<const char> notes) {
  while (notes.size() >= sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) note;
    std::memcpy(&note, notes.data(), sizeof note);
    auto padded = [](size_t size) { return (size + 3) / 4 * 4; };
    size_t name = sizeof note, id = name + padded(note.n_namesz);
    if (id + note.n_descsz > notes.size()) return "";
    if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
        std::memcmp(notes.data() + name, "GNU", 4) == 0) {
      std::string text;
      for (unsigned char byte : notes.subspan(id, note.n_descsz))
        text += fmt::format("{:02x}", byte);
      return text;
    }
    notes = notes.subspan(std::min(notes.size(), id + padded(note.n_descsz)));
  }
  return "";
}

int first_build_id(dl_phdr_info* object, size_t, void* id) {
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = object->dlpi_phdr[i];
    if (segment.p_type != PT_NOTE) continue;
    const char* notes = reinterpret_cast<const char*>(object->dlpi_addr + segment.p_vaddr);
    std::string found = build_id_in({notes, size_t(segment.p_memsz)});
    if (!found.empty()) *static_cast<std::string*>(id) = found;
  }
  return 1;  // the first object is the program: no more
}

std::string build_id() {
  std::string id;
  dl_iterate_phdr(first_build_id, &id);
  return id;
}

}  // namespace

std::string host_name() {
  std::array<char, 256> name{};
  gethostname(name.data(), name.size() - 1);
  return name.data();
}

RankFacts this_process() { return {host_name(), getpid(), cores_allowed(), build_id()}; }

std::vector<RankFacts> gather_facts(Communicator& ranks) {
  RankFacts mine = this_process();
  std::vector<RankFacts> all;
  for (const std::string& text :
       ranks.gather(fmt::format("{} {} {} {}", mine.pid, mine.cores, mine.build, mine.host))) {
    RankFacts& facts = all.emplace_back();
    const char* end = text.data() + text.size();
    const char* at = std::from_chars(text.data(), end, facts.pid).ptr;
    at = std::from_chars(at + 1, end, facts.cores).ptr + 1;
    const char* space = std::find(at, end, ' ');
    facts.build.assign(at, space);
    facts.host.assign(space + 1, end);
  }
  return all;
}

std::string named(int rank, const RankFacts& facts) {
  return fmt::format("rank {} on {} (process {})", rank, facts.host, facts.pid);
}

void check_same_build(const std::vector<RankFacts>& ranks) {
  for (size_t rank = 1; rank < ranks.size(); ++rank)
    check(ranks[rank].build == ranks[0].build,
          "{} runs another build of folio than {}: put the same program on both, for what they "
          "compute would differ",
          named(int(rank), ranks[rank]), named(0, ranks[0]));
}

}  // namespace folio

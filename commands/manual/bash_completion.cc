#include <fmt/ranges.h>

#include <map>
#include <optional>

#include "commands/manual/command_help.h"

namespace folio {
namespace {

// The part that is the same whatever the options are. COMP_WORDS is not used: bash splits words at
// = and :, which folio's values have.
constexpr const char* rest = R"sh(
# The files that match, folders among them; with endings, only files that have one of them.
_folio_files() { # WORD [.ENDING ...]
  local word=$1 path ending
  shift
  compopt -o filenames 2>/dev/null
  while IFS= read -r path; do
    [[ $# == 0 || -d $path ]] && COMPREPLY+=("$path")
    for ending in "$@"; do
      [[ $path == *"$ending" && ! -d $path ]] && COMPREPLY+=("$path")
    done
  done < <(compgen -f -- "$word")
}

# Config files: those that are here, and those that came with folio.
_folio_configs() { # WORD
  local program path
  _folio_files "$1" .toml .py
  program=$(type -P "${_folio_program:-folio}") && program=$(readlink -f -- "$program") || return
  while IFS= read -r path; do
    path=configs/${path##*/}
    [[ $path == "$1"* && ! -e $path ]] && COMPREPLY+=("$path")
  done < <(compgen -G "${program%/*}/../share/folio/configs/*.toml")
}

_folio() {
  local IFS=$' \t\n' line=${COMP_LINE:0:COMP_POINT} words=() command="" word before option value before_path name
  COMPREPLY=()
  read -ra words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=("")
  local last=$((${#words[@]} - 1))
  word=${words[last]}
  before=${words[last - 1]}
  _folio_program=${words[0]/#\~/$HOME}
  local first=1
  [[ ${words[1]} == help ]] && first=2
  if ((last == first)); then
    [[ $first == 2 ]] && COMPREPLY=($(compgen -W "$_folio_commands" -- "$word")) ||
      COMPREPLY=($(compgen -W "$_folio_commands completion help manual --help --version" -- "$word"))
    return
  fi
  command=${words[first]}
  if [[ $command == completion ]]; then
    COMPREPLY=($(compgen -W bash -- "$word"))
    return
  fi
  if [[ " $_folio_groups " == *" $command "* ]]; then
    if ((last == first + 1)); then
      COMPREPLY=($(compgen -W "$(_folio_second_words "$command")" -- "$word"))
      return
    fi
    command+=" ${words[first + 1]}"
  fi
  ((first == 2)) && return

  # The value of --option=VALUE or --option VALUE.
  if [[ $word == --*=* ]]; then
    option=${word%%=*}
    value=${word#*=}
    # Bash replaces what stands after the last of its word breaks.
    [[ $COMP_WORDBREAKS == *=* ]] && name="" || name=$option=
  elif [[ $before == --* && $before != *=* && $word != -* ]]; then
    option=$before
    value=$word
    name=""
    [[ " $(_folio_flags "$command") " == *" $option "* && $word != [tf]* ]] && option=""
  elif [[ $before == -o ]]; then
    _folio_files "$word"
    return
  fi
  if [[ -n $option ]]; then
    if before_path=$(_folio_path_after "$command" "$option"); then
      if [[ $value == "$before_path"* ]]; then
        _folio_files "${value#"$before_path"}"
        [[ $COMP_WORDBREAKS == *:* || -z $before_path ]] && before_path=""
        COMPREPLY=("${COMPREPLY[@]/#/$name$before_path}")
      elif [[ $before_path == "$value"* ]]; then
        compopt -o nospace 2>/dev/null
        COMPREPLY=("$name$before_path")
      fi
    else
      COMPREPLY=($(compgen -P "$name" -W "$(_folio_values "$command" "$option")" -- "$value"))
    fi
  elif [[ $word == -* ]]; then
    COMPREPLY=($(compgen -W "$(_folio_options "$command") --help" -- "$word"))
    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
  else
    case $(_folio_positional "$command") in
      config) _folio_configs "$word" ;;
      folder) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$word") ;;
    esac
  fi
}

complete -F _folio folio
)sh";

// FUNCTION COMMAND, which prints a text of each command.
template <class Text>
std::string by_command(std::string_view function, const std::vector<CommandHelp>& all,
                       Text&& text_of) {
  std::string text = fmt::format("\n{}() {{ # COMMAND\n  case $1 in\n", function);
  for (const CommandHelp& command : all)
    text += fmt::format("    \"{}\") echo \"{}\" ;;\n", command.name, text_of(command));
  return text + "  esac\n}\n";
}

// FUNCTION COMMAND OPTION, which prints a text of the option, or fails where that has none.
template <class Text>
std::string by_option(std::string_view function, const std::vector<CommandHelp>& all,
                      Text&& text_of) {
  std::string text = fmt::format("\n{}() {{ # COMMAND --OPTION\n  case \"$1 $2\" in\n", function);
  for (const CommandHelp& command : all)
    for (const OptionHelp& option : command.options)
      if (std::optional<std::string> found = text_of(option))
        text += fmt::format("    \"{} --{}\") echo \"{}\" ;;\n", command.name, option.name, *found);
  return text + "    *) return 1 ;;\n  esac\n}\n";
}

// A flag stands alone; all others wait for a value.
std::string options_of(const CommandHelp& command) {
  std::vector<std::string> words;
  for (const OptionHelp& option : command.options)
    words.push_back(fmt::format("--{}{}", option.name, option.flag ? "" : "="));
  return fmt::format("{}", fmt::join(words, " "));
}

std::string flags_of(const CommandHelp& command) {
  std::string words;
  for (const OptionHelp& option : command.options)
    if (option.flag) words += fmt::format("{}--{}", words.empty() ? "" : " ", option.name);
  return words;
}

// What stands without dashes in a command's usage.
std::string positional_of(const CommandHelp& command) {
  return command.takes(" DIR DIR") ? "folder" : command.takes("CONFIG") ? "config" : "";
}

}  // namespace

std::string bash_completion(std::span<const Command> commands) {
  const std::vector<CommandHelp> all = help_of_all(commands);
  std::vector<std::string> firsts;
  std::map<std::string, std::string> seconds;  // of commands of two words, by the first
  for (const CommandHelp& command : all) {
    const size_t space = command.name.find(' ');
    const std::string first = command.name.substr(0, space);
    if (firsts.empty() || firsts.back() != first) firsts.push_back(first);
    if (space != std::string::npos) seconds[first] += command.name.substr(space) + " ";
  }
  std::string text = "# Completion of folio's command line for bash, by `folio completion bash`.\n";
  text += fmt::format("_folio_commands=\"{}\"\n_folio_groups=\"", fmt::join(firsts, " "));
  for (const auto& [first, words] : seconds) text += first + " ";
  text += "\"\n\n_folio_second_words() { # FIRST\n  case $1 in\n";
  for (const auto& [first, words] : seconds)
    text += fmt::format("    {}) echo \"{}\" ;;\n", first, words);
  text += "  esac\n}\n";
  text += by_command("_folio_options", all, options_of) +
          by_command("_folio_flags", all, flags_of) +
          by_command("_folio_positional", all, positional_of);
  text += by_option("_folio_values", all, [](const OptionHelp& option) {
    auto words = fmt::format("{}", fmt::join(option.values, " "));
    return words.empty() ? std::nullopt : std::optional(words);
  });
  text += by_option("_folio_path_after", all, [](auto& option) { return option.path_after; });
  return text + rest;
}

}  // namespace folio

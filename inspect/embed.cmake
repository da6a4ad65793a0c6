# folio_embed(TARGET FUNCTION FOLDER FILES...): the text files FILES, of FOLDER, become part of
# TARGET, which then has `std::span<const EmbeddedFile> folio::FUNCTION()`, as
# inspect/page/web_files.h declares them.
# Run as a script, with -DOUTPUT, -DFUNCTION, -DFOLDER and -DFILES, it writes that source.
if(CMAKE_SCRIPT_MODE_FILE)
  set(entries "")
  foreach(name IN LISTS FILES)
    file(READ ${FOLDER}/${name} contents)
    if(contents MATCHES "\\)embed\"")
      message(FATAL_ERROR "${name} holds )embed\", which would end its literal")
    endif()
    string(APPEND entries "    {\"${name}\", R\"embed(${contents})embed\"},\n")
  endforeach()
  file(WRITE ${OUTPUT} "#include \"inspect/page/web_files.h\"\n\nnamespace folio {\n\n"
    "std::span<const EmbeddedFile> ${FUNCTION}() {\n"
    "  static constexpr EmbeddedFile files[] = {\n${entries}  };\n  return files;\n}\n\n"
    "}  // namespace folio\n")
  return()
endif()

set(folio_embed_script ${CMAKE_CURRENT_LIST_FILE})
function(folio_embed target function folder)
  set(output ${CMAKE_BINARY_DIR}/embedded/${function}.cc)
  list(TRANSFORM ARGN PREPEND ${folder}/ OUTPUT_VARIABLE inputs)
  list(JOIN ARGN "$<SEMICOLON>" files)
  add_custom_command(OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -DOUTPUT=${output} -DFUNCTION=${function} -DFOLDER=${folder}
            "-DFILES=${files}" -P ${folio_embed_script}
    DEPENDS ${inputs} ${folio_embed_script} VERBATIM)
  target_sources(${target} PRIVATE ${output})
endfunction()

# What `cmake --install` and cpack put where. Components: `program`; `development`, the libraries with
# what find_package(folio) reads; and, where it is asked for, `portable`, the program with all that it
# loads, for machines that lack that.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

install(TARGETS folio COMPONENT program)
# Config files keep the names that they have in the source tree: configs/X.toml is looked up here.
install(DIRECTORY configs/ DESTINATION ${CMAKE_INSTALL_DATADIR}/folio/configs COMPONENT program
        FILES_MATCHING PATTERN *.toml)
install(FILES CHANGELOG.md docs/install.md docs/inspect-json.md docs/many-processes.md docs/recipes.md
        DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT program)

# The man page and bash's completion, which the program writes from its option tables: where it runs.
find_program(GZIP gzip REQUIRED)
if(NOT FOLIO_SANITIZE AND (NOT CMAKE_CROSSCOMPILING OR CMAKE_CROSSCOMPILING_EMULATOR))
  add_custom_command(OUTPUT folio.1.gz folio.bash DEPENDS folio VERBATIM
    COMMAND folio manual > folio.1
    COMMAND ${GZIP} -9nf folio.1
    COMMAND folio completion bash > folio.bash)
  add_custom_target(folio_manual ALL DEPENDS ${CMAKE_BINARY_DIR}/folio.1.gz)
  install(FILES ${CMAKE_BINARY_DIR}/folio.1.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man1
          COMPONENT program)
  install(FILES ${CMAKE_BINARY_DIR}/folio.bash RENAME folio COMPONENT program
          DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
endif()

# What archives and wheels hold: the program without MPI, which is no use apart from its installation.
add_executable(folio_portable EXCLUDE_FROM_ALL main.cc core/ranks/without_mpi.cc)
target_link_libraries(folio_portable PRIVATE folio_commands)
target_link_options(folio_portable PRIVATE -Wl,--as-needed)
install(CODE "
  set(folder \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}\")
  execute_process(COMMAND ${CMAKE_COMMAND} -E env --unset=DESTDIR ${CMAKE_COMMAND} --install
                          ${CMAKE_BINARY_DIR} --component program
                          --prefix \${folder}
                  OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
  file(COPY_FILE $<TARGET_FILE:folio_portable> \${folder}/bin/folio)
  execute_process(COMMAND ${CMAKE_SOURCE_DIR}/scripts/bundle-libraries \${folder}
                  COMMAND_ERROR_IS_FATAL ANY)
" COMPONENT portable EXCLUDE_FROM_ALL)

if(FOLIO_CUDA STREQUAL "EMULATED")  # a test's device is no library to install
  return()
endif()

# folio::NAME for each folder, folio::folio for all of them; headers below include/folio, so that
# they include each other by the names that they have in the source tree.
set(folders core autograd nn configs data checkpoint train sample inspect)
add_library(folio_all INTERFACE)
set_target_properties(folio_all PROPERTIES EXPORT_NAME folio)
foreach(folder IN LISTS folders)
  target_link_libraries(folio_all INTERFACE folio_${folder})
  install(DIRECTORY ${folder} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/folio COMPONENT development
          FILES_MATCHING PATTERN *.h
          PATTERN core/cpu EXCLUDE PATTERN core/cuda EXCLUDE PATTERN core/ranks/mpi EXCLUDE
          PATTERN inspect/web EXCLUDE)
endforeach()
set(libraries without_mpi ${folders})
foreach(optional mpi cuda)
  if(TARGET folio_${optional})
    list(APPEND libraries ${optional})
  endif()
endforeach()
foreach(library IN LISTS libraries)
  set_target_properties(folio_${library} PROPERTIES EXPORT_NAME ${library})
endforeach()
target_include_directories(folio_core INTERFACE
  $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/folio>)
target_compile_features(folio_core PUBLIC cxx_std_20)
list(TRANSFORM libraries PREPEND folio_)
set(package ${CMAKE_INSTALL_LIBDIR}/cmake/folio)
install(TARGETS ${libraries} folio_all EXPORT folio COMPONENT development)
install(EXPORT folio NAMESPACE folio:: FILE folioTargets.cmake DESTINATION ${package}
        COMPONENT development)
configure_package_config_file(packaging/folioConfig.cmake.in folioConfig.cmake
                              INSTALL_DESTINATION ${package})
write_basic_package_version_file(folioConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/folioConfig.cmake ${CMAKE_BINARY_DIR}/folioConfigVersion.cmake
        DESTINATION ${package} COMPONENT development)
install(DIRECTORY tests/examples/project/ COMPONENT development
        DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/folio-dev/example)

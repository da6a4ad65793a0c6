# cpack -G DEB: folio_VERSION_amd64.deb, and folio-dev with the libraries. cpack -G TXZ: the archive
# folio-VERSION-linux-x86_64.tar.xz, which runs wherever it is unpacked.
set(FOLIO_MAINTAINER "folio's maintainers <maintainers@folio.example>" CACHE STRING
    "Who answers for the packages: NAME <ADDRESS>")
set(CPACK_PACKAGE_VENDOR "folio")
set(CPACK_PACKAGE_CONTACT "${FOLIO_MAINTAINER}")
set(CPACK_PACKAGE_DIRECTORY ${CMAKE_BINARY_DIR}/packages)
string(TOLOWER ${CMAKE_SYSTEM_NAME} system)
set(CPACK_PACKAGE_FILE_NAME folio-${PROJECT_VERSION}-${system}-${CMAKE_SYSTEM_PROCESSOR})
set(CPACK_GENERATOR DEB TXZ)
set(CPACK_STRIP_FILES ON)
set(CPACK_THREADS 0)  # as many as there are cores
set(CPACK_COMPONENTS_ALL program development)  # and portable, in the archive
set(CPACK_PROJECT_CONFIG_FILE ${CMAKE_SOURCE_DIR}/packaging/archive.cmake)

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_NAME folio)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_RECOMMENDS "ca-certificates")
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SUGGESTS "openmpi-bin, python3-h5py")
set(CPACK_DEBIAN_PROGRAM_DESCRIPTION "folio trains nanoGPT's Shakespeare character model and fine-tunes GPT-2 from
nanoGPT's own options, samples over a KV cache in float32, bfloat16, int8 and
int4, and shows a model's inside in one page. It needs no Python.")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME folio-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS "libcurl4-openssl-dev | libcurl-dev, libdnnl-dev, \
libfmt-dev, libhdf5-dev, libhwy-dev, libonig-dev, libpcre2-dev, libssl-dev, libtomlplusplus-dev, \
libutf8proc-dev, libzip-dev, nlohmann-json3-dev, ocl-icd-opencl-dev, pkg-config")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SUGGESTS "cmake, g++, libopenmpi-dev")
set(CPACK_DEBIAN_DEVELOPMENT_DESCRIPTION "folio's tensors, autograd, model, training loop and sampling as static
libraries with their headers, for CMake's find_package(folio).")

# What Debian wants to find in a package's folder of documents.
execute_process(COMMAND date -u -R -d ${FOLIO_RELEASED} OUTPUT_VARIABLE date
                OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
foreach(package folio folio-dev)
  set(component program)
  if(package STREQUAL folio-dev)
    set(component development)
  endif()
  file(WRITE ${CMAKE_BINARY_DIR}/debian/${package}/changelog
    "${package} (${PROJECT_VERSION}) stable; urgency=medium\n\n"
    "  * What this release brings: /usr/share/doc/folio/CHANGELOG.md\n\n"
    " -- ${FOLIO_MAINTAINER}  ${date}\n")
  execute_process(COMMAND ${GZIP} -9nf ${CMAKE_BINARY_DIR}/debian/${package}/changelog
                  COMMAND_ERROR_IS_FATAL ANY)
  install(FILES ${CMAKE_BINARY_DIR}/debian/${package}/changelog.gz packaging/copyright
          DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${package} COMPONENT ${component})
endforeach()
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON)  # which would build the tests before it packs
include(CPack)
if(TARGET folio_manual)
  add_custom_target(folio_packages DEPENDS folio_manual folio_portable folio_all folio_without_mpi
    COMMAND ${CMAKE_CPACK_COMMAND} --config ${CMAKE_BINARY_DIR}/CPackConfig.cmake VERBATIM
    USES_TERMINAL)
endif()

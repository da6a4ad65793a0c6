# Run as a script with -DSOURCE and -DOUTPUT: writes which commit of SOURCE is built, "unknown" where
# that is no git repository. The file is touched only when that changes.
cmake_minimum_required(VERSION 3.25)
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --abbrev=12 --exclude=*
                OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT commit)
  set(commit unknown)
endif()
file(CONFIGURE OUTPUT ${OUTPUT} @ONLY CONTENT
  "namespace folio {\n\nextern const char* const commit;\nconst char* const commit = \"${commit}\";\n\n}\n")

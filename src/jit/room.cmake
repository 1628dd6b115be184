# LLVM's headers, if they are there, give the types of the functions that are looked up in its library at run time; nothing is
# linked. Without them the room compiles and says "built without LLVM".
option(DOPPEL_LLVM "compile models to machine code by LLVM 19 where its headers are found" ON)
find_path(LLVM19_INCLUDE llvm-c/TargetMachine.h PATHS /usr/lib/llvm-19/include NO_DEFAULT_PATH)
find_path(LLVM19_INCLUDE llvm-c/TargetMachine.h)
set(llvm_major "")
if(DOPPEL_LLVM AND EXISTS "${LLVM19_INCLUDE}/llvm/Config/llvm-config.h")
  file(STRINGS "${LLVM19_INCLUDE}/llvm/Config/llvm-config.h" llvm_major REGEX "^#define LLVM_VERSION_MAJOR 19$")
endif()
if(llvm_major)
  target_include_directories(dp_jit SYSTEM PRIVATE ${LLVM19_INCLUDE})
  target_compile_definitions(dp_jit PRIVATE DPI_JIT_LLVM)
  # the room as it is without LLVM, for the tests of that: objects, which go before the library
  get_target_property(dp_jit_sources dp_jit SOURCES)
  add_library(dp_jit_plain OBJECT EXCLUDE_FROM_ALL ${dp_jit_sources})
else()
  message(STATUS "no headers of LLVM 19: models are interpreted")
endif()

# libSBML's exceptions are caught in C++ (sbml/sbml_guard.h) and pass through C frames on their way
target_sources(dp_lang PRIVATE ${CMAKE_SOURCE_DIR}/src/lang/sbml/sbml_guard.cc)
target_compile_options(dp_lang PRIVATE $<$<COMPILE_LANGUAGE:C>:-fexceptions>)

# NLopt's global methods (infer/point/global.c): optional, and shared only, because Debian's build holds LGPL code
find_library(NLOPT_LIBRARY NAMES libnlopt.so libnlopt.dylib)
find_path(NLOPT_INCLUDE nlopt.h)
if(NLOPT_LIBRARY AND NLOPT_INCLUDE)
  target_compile_definitions(dp_infer PRIVATE DOPPEL_NLOPT)
  target_include_directories(dp_infer PRIVATE ${NLOPT_INCLUDE})
  target_link_libraries(dp_infer PUBLIC ${NLOPT_LIBRARY})
endif()

target_link_libraries(dp_policy PUBLIC PkgConfig::JANSSON ${CMAKE_DL_LIBS})

# PEtab problems are grouped by a YAML file
target_link_libraries(dp_format PUBLIC PkgConfig::YAML)

# The page's template is built from web/ (TypeScript, Vite) and embedded. Without npm the build stops and says so.
find_program(NPM_PROGRAM npm)
set(DOPPEL_PAGE ${CMAKE_SOURCE_DIR}/web/dist/report.html)
file(GLOB_RECURSE web_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/web/src/* ${CMAKE_SOURCE_DIR}/web/*.json
     ${CMAKE_SOURCE_DIR}/web/*.ts ${CMAKE_SOURCE_DIR}/web/report.html)
list(FILTER web_sources EXCLUDE REGEX "node_modules|/dist/")
add_custom_command(
  OUTPUT ${DOPPEL_PAGE}
  COMMAND sh ${CMAKE_SOURCE_DIR}/tools/build_page.sh ${CMAKE_SOURCE_DIR}/web
  DEPENDS ${web_sources} ${CMAKE_SOURCE_DIR}/tools/build_page.sh
  COMMENT "page template from web/")
add_custom_command(
  OUTPUT ${CMAKE_BINARY_DIR}/page_template.c
  COMMAND ${CMAKE_COMMAND} -DIN=${DOPPEL_PAGE} -DOUT=${CMAKE_BINARY_DIR}/page_template.c
          -P ${CMAKE_SOURCE_DIR}/cmake/embed.cmake
  DEPENDS ${DOPPEL_PAGE} ${CMAKE_SOURCE_DIR}/cmake/embed.cmake)
target_sources(dp_explain PRIVATE ${CMAKE_BINARY_DIR}/page_template.c)

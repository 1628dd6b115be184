# Cross-compiling for arm64 on an x86-64 Debian, tests under qemu's user emulation: tools/arm64.sh gives DOPPEL_ARM64_ROOT, a folder
# with Debian's arm64 libraries and headers.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES DOPPEL_ARM64_ROOT)
set(CMAKE_SYSROOT ${DOPPEL_ARM64_ROOT})
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH ${DOPPEL_ARM64_ROOT})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
# a thread's stack under emulation needs the guest's own loader and libraries
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64-static;-L;${DOPPEL_ARM64_ROOT})
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${DOPPEL_ARM64_ROOT})
set(ENV{PKG_CONFIG_LIBDIR} ${DOPPEL_ARM64_ROOT}/usr/lib/aarch64-linux-gnu/pkgconfig:${DOPPEL_ARM64_ROOT}/usr/share/pkgconfig)
set(CMAKE_EXE_LINKER_FLAGS_INIT "-Wl,-rpath-link,${DOPPEL_ARM64_ROOT}/usr/lib/aarch64-linux-gnu:${DOPPEL_ARM64_ROOT}/usr/lib/aarch64-linux-gnu/blas:${DOPPEL_ARM64_ROOT}/usr/lib/aarch64-linux-gnu/lapack")

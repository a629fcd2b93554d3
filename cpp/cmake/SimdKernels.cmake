# The only place that names an instruction-set flag.
set(FRIESIAN_FLAGS_scalar "")
set(FRIESIAN_FLAGS_avx2 -mavx2 -mfma -mbmi2 -mf16c -fno-lto)
set(FRIESIAN_FLAGS_avx512 ${FRIESIAN_FLAGS_avx2} -mavx512f -mavx512bw -mavx512cd -mavx512dq -mavx512vl
    -mprefer-vector-width=512
    -Wno-maybe-uninitialized -Wno-uninitialized) # GCC 12's own intrinsics headers trip them (GCC bug 105593)

if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|amd64")
  set(FRIESIAN_LEVELS scalar avx2 avx512)
  target_compile_definitions(friesian_core PUBLIC FRIESIAN_X86=1)
else()
  set(FRIESIAN_LEVELS scalar)
endif()

# friesian_add_kernel(hash/md5_bucket scalar avx2 avx512): the dispatching unit <stem>.cpp, and one
# unit <stem>_<level>.cpp per level, compiled with that level's flags only.
function(friesian_add_kernel stem)
  target_sources(friesian_core PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/${stem}.cpp)
  foreach(level IN LISTS ARGN)
    if(NOT level IN_LIST FRIESIAN_LEVELS)
      continue()
    endif()
    set(unit ${CMAKE_CURRENT_SOURCE_DIR}/${stem}_${level}.cpp)
    target_sources(friesian_core PRIVATE ${unit})
    set_source_files_properties(${unit} TARGET_DIRECTORY friesian_core PROPERTIES
      COMPILE_OPTIONS "${FRIESIAN_FLAGS_${level}}" SKIP_UNITY_BUILD_INCLUSION ON)
  endforeach()
endfunction()

/* jit_llvm.h - floor 3: LLVM's functions that this room calls, as a table of pointers with the types of LLVM's own
 * headers. Only where those were found at build time (room.cmake: DPI_JIT_LLVM). */
#ifndef DPI_JIT_LLVM_H
#define DPI_JIT_LLVM_H

#ifdef DPI_JIT_LLVM
#include <llvm-c/Core.h>
#include <llvm-c/Error.h>
#include <llvm-c/TargetMachine.h>
#include <llvm-c/Transforms/PassBuilder.h>

// clang-format off
#define DPI_LLVM_LIST(X)                                                                                              \
  X(ContextCreate) X(ContextDispose) X(ContextSetDiagnosticHandler) X(ContextSetDiscardValueNames)                    \
  X(ModuleCreateWithNameInContext) X(DisposeModule) X(SetTarget) X(SetModuleDataLayout) X(CreateTargetDataLayout)     \
  X(DisposeTargetData) X(CreateBuilderInContext) X(DisposeBuilder) X(PositionBuilderAtEnd)                            \
  X(AppendBasicBlockInContext) X(AddFunction) X(FunctionType) X(VoidTypeInContext) X(DoubleTypeInContext)             \
  X(Int8TypeInContext) X(Int64TypeInContext) X(VectorType) X(PointerTypeInContext) X(GetParam) X(ConstInt)            \
  X(ConstReal) X(ConstVector) X(BuildLoad2) X(BuildStore) X(BuildInBoundsGEP2) X(SetAlignment)                        \
  X(BuildFAdd) X(BuildFSub) X(BuildFMul) X(BuildFDiv) X(BuildFNeg) X(BuildFCmp) X(BuildAnd) X(BuildOr)                \
  X(BuildSelect) X(BuildCall2) X(BuildRetVoid) X(LookupIntrinsicID) X(GetIntrinsicDeclaration) X(IntrinsicGetType)    \
  X(SetLinkage) X(AddAttributeAtIndex) X(CreateEnumAttribute) X(CreateStringAttribute)                                \
  X(GetEnumAttributeKindForName) X(GetTargetFromTriple) X(CreateTargetMachine) X(DisposeTargetMachine)                \
  X(TargetMachineEmitToMemoryBuffer) X(GetBufferStart) X(GetBufferSize) X(DisposeMemoryBuffer) X(DisposeMessage)      \
  X(GetVersion)
// clang-format on

typedef struct dpi_llvm {
#define DPI_LLVM_FIELD(name) __typeof__(&LLVM##name) name;
  DPI_LLVM_LIST(DPI_LLVM_FIELD)
#undef DPI_LLVM_FIELD
} dpi_llvm;

/* After dpi_jit_llvm_open gave true. */
const dpi_llvm *dpi_jit_llvm(void);
#endif

#endif

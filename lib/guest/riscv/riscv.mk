# RISC-V: the context that decode tables hand to trans_ functions
riscv_ctx := RvTrans

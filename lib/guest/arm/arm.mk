# AArch64: the context that decode tables hand to trans_ functions
arm_ctx := ArmTrans

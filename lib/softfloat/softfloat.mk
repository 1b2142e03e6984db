# IEEE arithmetic in integers with guest rules: f16 bf16 f32 f64 x87-f80 f128
softfloat_uses := base
softfloat_test_ldlibs := -lmpfr -lgmp

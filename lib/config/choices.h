/* The choices of settings, of saved partitions, models and options: each list of names once, beside its
 * values. mf_choice and mf_choice_name (base/strings.h) go from one to the other. */
#ifndef MF_CONFIG_CHOICES_H
#define MF_CONFIG_CHOICES_H

enum mf_partition_method { MF_CLUSTERED, MF_RANDOM, MF_CURRICULUM, MF_DOMAIN };
#define MF_PARTITION_METHODS "clustered|random|curriculum|domain"

enum mf_arch { MF_REFERENCE, MF_LLAMA };
#define MF_ARCHS "reference|llama"

enum mf_optimizer { MF_ADAMW, MF_MUON };
#define MF_OPTIMIZERS "adamw|muon"

enum mf_precision { MF_PRECISION_AUTO, MF_PRECISION_FP32, MF_PRECISION_BF16 };
#define MF_PRECISIONS "auto|fp32|bf16"

enum mf_schedule { MF_COSINE, MF_WSD };
#define MF_SCHEDULES "cosine|wsd"

enum mf_expert_init { MF_INIT_SHARED, MF_INIT_KAIMING };
#define MF_EXPERT_INITS "shared|kaiming"

enum mf_expert_learns { MF_LEARN_FFN, MF_LEARN_FFN_QO };
#define MF_EXPERT_LEARNS "ffn|ffn+qo"

enum { MF_HEAD_FULL = -1, MF_HEAD_NONE }; /* words for a rank */
#define MF_HEADS "full|none"

enum mf_router_kind { MF_ROUTER_HIDDEN, MF_ROUTER_PREFIX };
#define MF_ROUTER_KINDS "hidden|prefix"

enum mf_router_init { MF_GATE_UNIFORM, MF_GATE_KAIMING, MF_GATE_DATA_STATS };
#define MF_ROUTER_INITS "uniform|kaiming|data_stats"

enum mf_calibrate_router {
    MF_CALIBRATE_KEEP,
    MF_CALIBRATE_TEMPERATURE,
    MF_CALIBRATE_RIDGE,
    MF_CALIBRATE_DISCRIMINANT,
    MF_CALIBRATE_BEST,
    MF_CALIBRATE_TRAIN
};
#define MF_CALIBRATE_ROUTERS "keep|temperature|ridge|discriminant|best|train"

enum mf_export_type { MF_EXPORT_F32, MF_EXPORT_F16, MF_EXPORT_BF16, MF_EXPORT_Q8_0, MF_EXPORT_Q4_0 };
#define MF_EXPORT_TYPES "f32|f16|bf16|q8_0|q4_0"

#endif

"""Which standard SOP classes are no storage: a table, and nothing else.

Written by tools/generate_dimse_config.py from pydicom 3.0.2 and pynetdicom 3.0.4; not to be edited.
"""

from typing import Final

QUERY_SOP_CLASSES: Final = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.200.4",  # ProtocolApprovalInformationModelFind
        "1.2.840.10008.5.1.4.1.1.200.5",  # ProtocolApprovalInformationModelMove
        "1.2.840.10008.5.1.4.1.1.200.6",  # ProtocolApprovalInformationModelGet
        "1.2.840.10008.5.1.4.1.1.201.2",  # InventoryFind
        "1.2.840.10008.5.1.4.1.1.201.3",  # InventoryMove
        "1.2.840.10008.5.1.4.1.1.201.4",  # InventoryGet
        "1.2.840.10008.5.1.4.1.1.201.6",  # RepositoryQuery
        "1.2.840.10008.5.1.4.1.2.1.1",  # PatientRootQueryRetrieveInformationModelFind
        "1.2.840.10008.5.1.4.1.2.1.2",  # PatientRootQueryRetrieveInformationModelMove
        "1.2.840.10008.5.1.4.1.2.1.3",  # PatientRootQueryRetrieveInformationModelGet
        "1.2.840.10008.5.1.4.1.2.2.1",  # StudyRootQueryRetrieveInformationModelFind
        "1.2.840.10008.5.1.4.1.2.2.2",  # StudyRootQueryRetrieveInformationModelMove
        "1.2.840.10008.5.1.4.1.2.2.3",  # StudyRootQueryRetrieveInformationModelGet
        "1.2.840.10008.5.1.4.1.2.3.1",  # PatientStudyOnlyQueryRetrieveInformationModelFind
        "1.2.840.10008.5.1.4.1.2.3.2",  # PatientStudyOnlyQueryRetrieveInformationModelMove
        "1.2.840.10008.5.1.4.1.2.3.3",  # PatientStudyOnlyQueryRetrieveInformationModelGet
        "1.2.840.10008.5.1.4.1.2.4.2",  # CompositeInstanceRootRetrieveMove
        "1.2.840.10008.5.1.4.1.2.4.3",  # CompositeInstanceRootRetrieveGet
        "1.2.840.10008.5.1.4.1.2.5.3",  # CompositeInstanceRetrieveWithoutBulkDataGet
        "1.2.840.10008.5.1.4.20.1",  # DefinedProcedureProtocolInformationModelFind
        "1.2.840.10008.5.1.4.20.2",  # DefinedProcedureProtocolInformationModelMove
        "1.2.840.10008.5.1.4.20.3",  # DefinedProcedureProtocolInformationModelGet
        "1.2.840.10008.5.1.4.31",  # ModalityWorklistInformationModelFind
        "1.2.840.10008.5.1.4.32.1",  # GeneralPurposeWorklistInformationModelFind
        "1.2.840.10008.5.1.4.37.1",  # GeneralRelevantPatientInformationQuery
        "1.2.840.10008.5.1.4.37.2",  # BreastImagingRelevantPatientInformationQuery
        "1.2.840.10008.5.1.4.37.3",  # CardiacRelevantPatientInformationQuery
        "1.2.840.10008.5.1.4.38.2",  # HangingProtocolInformationModelFind
        "1.2.840.10008.5.1.4.38.3",  # HangingProtocolInformationModelMove
        "1.2.840.10008.5.1.4.38.4",  # HangingProtocolInformationModelGet
        "1.2.840.10008.5.1.4.39.2",  # ColorPaletteQueryRetrieveInformationModelFind
        "1.2.840.10008.5.1.4.39.3",  # ColorPaletteQueryRetrieveInformationModelMove
        "1.2.840.10008.5.1.4.39.4",  # ColorPaletteQueryRetrieveInformationModelGet
        "1.2.840.10008.5.1.4.41",  # ProductCharacteristicsQuery
        "1.2.840.10008.5.1.4.42",  # SubstanceApprovalQuery
        "1.2.840.10008.5.1.4.43.2",  # GenericImplantTemplateInformationModelFind
        "1.2.840.10008.5.1.4.43.3",  # GenericImplantTemplateInformationModelMove
        "1.2.840.10008.5.1.4.43.4",  # GenericImplantTemplateInformationModelGet
        "1.2.840.10008.5.1.4.44.2",  # ImplantAssemblyTemplateInformationModelFind
        "1.2.840.10008.5.1.4.44.3",  # ImplantAssemblyTemplateInformationModelMove
        "1.2.840.10008.5.1.4.44.4",  # ImplantAssemblyTemplateInformationModelGet
        "1.2.840.10008.5.1.4.45.2",  # ImplantTemplateGroupInformationModelFind
        "1.2.840.10008.5.1.4.45.3",  # ImplantTemplateGroupInformationModelMove
        "1.2.840.10008.5.1.4.45.4",  # ImplantTemplateGroupInformationModelGet
    }
)
"""SOP classes of query/retrieve, worklist and relatives: those with C-FIND, C-MOVE and C-GET only."""

SERVICE_SOP_CLASSES: Final = frozenset(
    {
        "1.2.840.10008.1.9",  # BasicStudyContentNotification
        "1.2.840.10008.1.20.1",  # StorageCommitmentPushModel
        "1.2.840.10008.1.20.2",  # StorageCommitmentPullModel
        "1.2.840.10008.1.40",  # ProceduralEventLogging
        "1.2.840.10008.1.42",  # SubstanceAdministrationLogging
        "1.2.840.10008.3.1.2.1.1",  # DetachedPatientManagement
        "1.2.840.10008.3.1.2.1.4",  # DetachedPatientManagementMeta
        "1.2.840.10008.3.1.2.2.1",  # DetachedVisitManagement
        "1.2.840.10008.3.1.2.3.1",  # DetachedStudyManagement
        "1.2.840.10008.3.1.2.3.2",  # StudyComponentManagement
        "1.2.840.10008.3.1.2.3.3",  # ModalityPerformedProcedureStep
        "1.2.840.10008.3.1.2.3.4",  # ModalityPerformedProcedureStepRetrieve
        "1.2.840.10008.3.1.2.3.5",  # ModalityPerformedProcedureStepNotification
        "1.2.840.10008.3.1.2.5.1",  # DetachedResultsManagement
        "1.2.840.10008.3.1.2.5.4",  # DetachedResultsManagementMeta
        "1.2.840.10008.3.1.2.5.5",  # DetachedStudyManagementMeta
        "1.2.840.10008.3.1.2.6.1",  # DetachedInterpretationManagement
        "1.2.840.10008.5.1.1.1",  # BasicFilmSession
        "1.2.840.10008.5.1.1.2",  # BasicFilmBox
        "1.2.840.10008.5.1.1.4",  # BasicGrayscaleImageBox
        "1.2.840.10008.5.1.1.4.1",  # BasicColorImageBox
        "1.2.840.10008.5.1.1.4.2",  # ReferencedImageBox
        "1.2.840.10008.5.1.1.9",  # BasicGrayscalePrintManagementMeta
        "1.2.840.10008.5.1.1.9.1",  # ReferencedGrayscalePrintManagementMeta
        "1.2.840.10008.5.1.1.14",  # PrintJob
        "1.2.840.10008.5.1.1.15",  # BasicAnnotationBox
        "1.2.840.10008.5.1.1.16",  # Printer
        "1.2.840.10008.5.1.1.16.376",  # PrinterConfigurationRetrieval
        "1.2.840.10008.5.1.1.18",  # BasicColorPrintManagementMeta
        "1.2.840.10008.5.1.1.18.1",  # ReferencedColorPrintManagementMeta
        "1.2.840.10008.5.1.1.22",  # VOILUTBox
        "1.2.840.10008.5.1.1.23",  # PresentationLUT
        "1.2.840.10008.5.1.1.24",  # ImageOverlayBox
        "1.2.840.10008.5.1.1.24.1",  # BasicPrintImageOverlayBox
        "1.2.840.10008.5.1.1.26",  # PrintQueueManagement
        "1.2.840.10008.5.1.1.31",  # PullPrintRequest
        "1.2.840.10008.5.1.1.32",  # PullStoredPrintManagementMeta
        "1.2.840.10008.5.1.1.33",  # MediaCreationManagement
        "1.2.840.10008.5.1.1.40",  # DisplaySystem
        "1.2.840.10008.5.1.4.1.1.201.5",  # InventoryCreation
        "1.2.840.10008.5.1.4.32",  # GeneralPurposeWorklistManagementMeta
        "1.2.840.10008.5.1.4.32.2",  # GeneralPurposeScheduledProcedureStep
        "1.2.840.10008.5.1.4.32.3",  # GeneralPurposePerformedProcedureStep
        "1.2.840.10008.5.1.4.33",  # InstanceAvailabilityNotification
        "1.2.840.10008.5.1.4.34.2",  # RTConventionalMachineVerificationTrial
        "1.2.840.10008.5.1.4.34.3",  # RTIonMachineVerificationTrial
        "1.2.840.10008.5.1.4.34.4.1",  # UnifiedProcedureStepPushTrial
        "1.2.840.10008.5.1.4.34.4.2",  # UnifiedProcedureStepWatchTrial
        "1.2.840.10008.5.1.4.34.4.3",  # UnifiedProcedureStepPullTrial
        "1.2.840.10008.5.1.4.34.4.4",  # UnifiedProcedureStepEventTrial
        "1.2.840.10008.5.1.4.34.6.1",  # UnifiedProcedureStepPush
        "1.2.840.10008.5.1.4.34.6.2",  # UnifiedProcedureStepWatch
        "1.2.840.10008.5.1.4.34.6.3",  # UnifiedProcedureStepPull
        "1.2.840.10008.5.1.4.34.6.4",  # UnifiedProcedureStepEvent
        "1.2.840.10008.5.1.4.34.6.5",  # UnifiedProcedureStepQuery
        "1.2.840.10008.5.1.4.34.8",  # RTConventionalMachineVerification
        "1.2.840.10008.5.1.4.34.9",  # RTIonMachineVerification
        "1.2.840.10008.10.1",  # VideoEndoscopicImageRealTimeCommunication
        "1.2.840.10008.10.2",  # VideoPhotographicImageRealTimeCommunication
        "1.2.840.10008.10.3",  # AudioWaveformRealTimeCommunication
        "1.2.840.10008.10.4",  # RenditionSelectionDocumentRealTimeCommunication
    }
)
"""All other SOP classes (Verification always passes and is not listed)."""

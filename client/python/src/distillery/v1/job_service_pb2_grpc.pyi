import grpc

from distillery.stubs import StreamUnary, UnaryStream, UnaryUnary
from distillery.v1 import job_pb2, job_service_pb2, ledger_pb2, report_pb2, task_pb2, trace_pb2

class JobServiceStub:
    def __init__(self, channel: grpc.Channel) -> None: ...
    CreateJob: UnaryUnary[job_service_pb2.CreateJobRequest, job_pb2.Job]
    PlanJob: UnaryUnary[job_service_pb2.PlanJobRequest, job_service_pb2.JobPlan]
    GetJob: UnaryUnary[job_service_pb2.GetJobRequest, job_pb2.Job]
    ListJobs: UnaryUnary[job_service_pb2.ListJobsRequest, job_service_pb2.ListJobsResponse]
    CancelJob: UnaryUnary[job_service_pb2.CancelJobRequest, job_pb2.Job]
    PauseJob: UnaryUnary[job_service_pb2.PauseJobRequest, job_pb2.Job]
    ResumeJob: UnaryUnary[job_service_pb2.ResumeJobRequest, job_pb2.Job]
    RetryJob: UnaryUnary[job_service_pb2.RetryJobRequest, job_pb2.Job]
    DeleteJob: UnaryUnary[job_service_pb2.DeleteJobRequest, job_service_pb2.DeleteJobResponse]
    WatchJob: UnaryStream[job_service_pb2.WatchJobRequest, job_service_pb2.JobEvent]
    GetReport: UnaryUnary[job_service_pb2.GetReportRequest, report_pb2.Report]
    GetTrace: UnaryUnary[job_service_pb2.GetTraceRequest, trace_pb2.Trace]
    GetJobCost: UnaryUnary[job_service_pb2.GetJobCostRequest, ledger_pb2.Ledger]

class TaskServiceStub:
    def __init__(self, channel: grpc.Channel) -> None: ...
    GetTask: UnaryUnary[job_service_pb2.GetTaskRequest, task_pb2.Task]
    ListTasks: UnaryUnary[job_service_pb2.ListTasksRequest, job_service_pb2.ListTasksResponse]
    ExplainTask: UnaryUnary[job_service_pb2.ExplainTaskRequest, job_service_pb2.TaskExplanation]
    ReadLog: UnaryStream[job_service_pb2.ReadLogRequest, job_service_pb2.ReadLogResponse]
    ReadSeries: UnaryUnary[job_service_pb2.ReadSeriesRequest, job_service_pb2.ReadSeriesResponse]

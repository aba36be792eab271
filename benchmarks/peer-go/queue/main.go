// The video queue on grpc-go: the calls that the comparison needs, on a store in memory.
package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"path"
	"strings"
	"sync"
	"syscall"

	"benchmarks.test/peer/settings"
	pb "benchmarks.test/peer/videoqueuepb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
)

const (
	chunkBytes      = 256 * 1024
	maxMessageBytes = 1024 * 1024
	pageSize        = 50
)

var allowed = map[string]map[string]bool{
	"Upload":     {"gateway": true},
	"GetVideo":   {"gateway": true},
	"ListVideos": {"gateway": true},
	"Download":   {"gateway": true},
}

func admit(ctx context.Context, fullMethod string) error {
	name := ""
	if from, ok := peer.FromContext(ctx); ok {
		if info, ok := from.AuthInfo.(credentials.TLSInfo); ok {
			name = settings.NameIn(info.State)
		}
	}
	if method := path.Base(fullMethod); !allowed[method][name] {
		return status.Errorf(codes.PermissionDenied, "%q may not call %s.", name, method)
	}
	return nil
}

func admitCall(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	if err := admit(ctx, info.FullMethod); err != nil {
		return nil, err
	}
	return handle(ctx, request)
}

func admitStream(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	if err := admit(stream.Context(), info.FullMethod); err != nil {
		return err
	}
	return handle(server, stream)
}

type stored struct {
	video  *pb.Video
	chunks [][]byte
}

type queue struct {
	pb.UnimplementedVideoQueueServer
	mutex  sync.RWMutex
	videos map[string]stored
	order  []string // the oldest first
}

func (q *queue) find(id string) (stored, error) {
	q.mutex.RLock()
	defer q.mutex.RUnlock()
	found, ok := q.videos[id]
	if !ok {
		return stored{}, status.Error(codes.NotFound, "There is no such video.")
	}
	return found, nil
}

func (q *queue) GetVideo(_ context.Context, request *pb.GetVideoRequest) (*pb.Video, error) {
	found, err := q.find(request.Id)
	return found.video, err
}

func (q *queue) ListVideos(context.Context, *pb.ListVideosRequest) (*pb.ListVideosResponse, error) {
	q.mutex.RLock()
	defer q.mutex.RUnlock()
	answer := &pb.ListVideosResponse{}
	for i := len(q.order) - 1; i >= max(0, len(q.order)-pageSize); i-- {
		answer.Videos = append(answer.Videos, q.videos[q.order[i]].video)
	}
	return answer, nil
}

func (q *queue) Upload(stream grpc.ClientStreamingServer[pb.UploadRequest, pb.Video]) error {
	var about *pb.UploadMetadata
	var chunks [][]byte
	var size int64
	hash, isWhole := sha256.New(), false
	for {
		request, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		switch part := request.Part.(type) {
		case *pb.UploadRequest_Metadata:
			about = part.Metadata
			if strings.TrimSpace(about.Title) == "" {
				return status.Error(codes.InvalidArgument, "The title is empty.")
			}
			if err := stream.SendHeader(metadata.Pairs("go-ahead", "yes")); err != nil {
				return err
			}
		case *pb.UploadRequest_Chunk:
			chunks = append(chunks, part.Chunk)
			hash.Write(part.Chunk)
			size += int64(len(part.Chunk))
		}
		if request.End != nil {
			isWhole = request.End.SizeBytes == size
		}
	}
	if about == nil || size == 0 || !isWhole {
		return status.Error(codes.InvalidArgument, "The stream is not metadata, chunks and a fitting end.")
	}
	now := timestamppb.Now()
	video := &pb.Video{
		Id:          newID(),
		Title:       about.Title,
		Description: about.Description,
		ContentType: about.ContentType,
		SizeBytes:   size,
		Sha256:      hash.Sum(nil),
		Status:      pb.VideoStatus_VIDEO_STATUS_PENDING,
		CreatedAt:   now,
		UpdatedAt:   now,
	}
	if owner := metadata.ValueFromIncomingContext(stream.Context(), "on-behalf-of"); len(owner) == 1 {
		video.Owner = owner[0]
	}
	q.mutex.Lock()
	q.videos[video.Id] = stored{video, chunks}
	q.order = append(q.order, video.Id)
	q.mutex.Unlock()
	return stream.SendAndClose(video)
}

func (q *queue) Download(request *pb.DownloadRequest, stream grpc.ServerStreamingServer[pb.DownloadResponse]) error {
	found, err := q.find(request.Id)
	if err != nil {
		return err
	}
	if err := stream.Send(&pb.DownloadResponse{Part: &pb.DownloadResponse_Video{Video: found.video}}); err != nil {
		return err
	}
	for _, chunk := range found.chunks {
		for start := 0; start < len(chunk); start += chunkBytes {
			piece := &pb.DownloadResponse_Chunk{Chunk: chunk[start:min(start+chunkBytes, len(chunk))]}
			if err := stream.Send(&pb.DownloadResponse{Part: piece}); err != nil {
				return err
			}
		}
	}
	return nil
}

// newID returns a random UUID (RFC 9562, section 5.4).
func newID() string {
	var id [16]byte
	rand.Read(id[:]) // never fails
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	config, err := settings.TLS(settings.Variable("PEER_IDENTITY"))
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", settings.Variable("PEER_LISTEN"))
	if err != nil {
		return err
	}
	server := grpc.NewServer(
		grpc.Creds(credentials.NewTLS(config)),
		grpc.MaxRecvMsgSize(maxMessageBytes),
		grpc.UnaryInterceptor(admitCall),
		grpc.StreamInterceptor(admitStream),
	)
	pb.RegisterVideoQueueServer(server, &queue{videos: map[string]stored{}})
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, server.Stop)
	if err := settings.Announce(listener.Addr().String()); err != nil {
		return err
	}
	return server.Serve(listener)
}
